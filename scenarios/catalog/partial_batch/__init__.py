"""The room of the scenario ``partial-batch``."""
