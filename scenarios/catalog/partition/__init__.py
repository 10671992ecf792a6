"""The room of the scenario ``partition``."""
