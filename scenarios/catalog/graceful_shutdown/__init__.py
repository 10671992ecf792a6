"""The room of the scenario ``graceful-shutdown``."""
