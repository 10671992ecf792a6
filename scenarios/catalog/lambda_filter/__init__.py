"""The room of the scenario ``lambda-filter``."""
