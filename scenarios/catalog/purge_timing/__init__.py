"""The room of the scenario ``purge-timing``."""
