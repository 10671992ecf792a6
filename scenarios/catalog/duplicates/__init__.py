"""The room of the scenario ``duplicates``."""
