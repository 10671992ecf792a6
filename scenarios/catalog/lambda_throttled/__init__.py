"""The room of the scenario ``lambda-throttled``."""
