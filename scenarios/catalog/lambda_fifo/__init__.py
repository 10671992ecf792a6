"""The room of the scenario ``lambda-fifo``."""
