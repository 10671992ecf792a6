"""The producer's environment variables, beside those that every service reads."""

from __future__ import annotations

from services.settings import ServiceSettings


class ProducerSettings(ServiceSettings):
    """What a producer reads. Each field is a variable of the same name."""

    message_status_table: str = ""
    producer: str = "services.producer.producer:Producer"
