"""The room of the scenario ``lambda-partial-response``."""
