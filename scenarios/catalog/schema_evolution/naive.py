"""The naive twin: the same work without the pattern under study. Never run it where money is carried."""

from __future__ import annotations

from services.consumer.schema import FIELDS, Payload, SchemaConsumer, version_of
from services.payload import MalformedPayload


class StrictReader(SchemaConsumer):
    """A naive twin: accept the one version that this deployment was made for, field by field, and nothing else."""

    def read(self, payload: Payload) -> Payload:
        """Refuse what is older, newer, or has a field too many."""
        version = version_of(payload)
        if version != self.knows:
            raise MalformedPayload(f"the schema is {version}, and not {self.knows}")
        unknown = sorted(payload.keys() - FIELDS[version])
        if unknown:
            raise MalformedPayload(f"the payload has fields that schema {version} has not: {', '.join(unknown)}")
        return super().read(payload)
