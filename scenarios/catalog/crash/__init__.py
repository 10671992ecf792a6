"""The room of the scenario ``crash``."""
