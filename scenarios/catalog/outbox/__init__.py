"""The room of the scenario ``outbox``."""
