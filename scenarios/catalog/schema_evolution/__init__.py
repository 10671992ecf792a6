"""The room of the scenario ``schema-evolution``."""
