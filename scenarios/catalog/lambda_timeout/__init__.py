"""The room of the scenario ``lambda-timeout``."""
