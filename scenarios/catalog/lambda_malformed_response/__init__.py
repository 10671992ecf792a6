"""The room of the scenario ``lambda-malformed-response``."""
