"""The room of the scenario ``poison``."""
