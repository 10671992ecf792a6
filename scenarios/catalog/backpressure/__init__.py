"""The room of the scenario ``backpressure``."""
