"""The room of the scenario ``idempotency-key``."""
