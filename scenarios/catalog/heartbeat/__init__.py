"""The room of the scenario ``heartbeat``."""
