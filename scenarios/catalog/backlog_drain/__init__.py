"""The room of the scenario ``backlog-drain``."""
