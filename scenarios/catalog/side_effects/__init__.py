"""The room of the scenario ``side-effects``."""
