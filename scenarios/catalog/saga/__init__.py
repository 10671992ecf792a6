"""The room of the scenario ``saga``."""
