"""The room of the scenario ``out-of-order``."""
