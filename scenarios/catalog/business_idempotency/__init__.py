"""The room of the scenario ``business-idempotency``."""
