"""The room of the scenario ``retry-backoff``."""
