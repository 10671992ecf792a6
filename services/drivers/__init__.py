"""The drivers: they perform the operations that a generator yields.

One method is the whole seam. :class:`~services.drivers.aws.AwsDriver` performs operations through boto3;
:class:`~services.drivers.recorded.RecordedDriver` stands around any driver, keeps the history and injects faults.
"""

from services.drivers.base import Driver

__all__ = ["Driver"]
