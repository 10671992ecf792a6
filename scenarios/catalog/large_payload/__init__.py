"""The room of the scenario ``large-payload``."""
