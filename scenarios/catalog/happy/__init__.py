"""The room of the scenario ``happy``."""
