"""The room of the scenario ``fifo-order``."""
