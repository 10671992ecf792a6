"""The producer's environment variables, beside those that every service reads."""

from __future__ import annotations

from services.settings import FaultVariables, ServiceSettings
from services.variables import variable


class ProducerSettings(FaultVariables, ServiceSettings):
    """What a producer reads from its environment. Each field is a variable of the same name."""

    model_config = ServiceSettings.model_config

    message_status_table: str = variable("", "the table of a producer that keeps state, such as an outbox")
    producer: str = variable("services.producer.producer:Producer", "the class that produces: a subclass of yours")
