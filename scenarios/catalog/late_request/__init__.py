"""The room of the scenario ``late-request``."""
