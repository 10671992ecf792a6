"""The room of the scenario ``check-race``."""
