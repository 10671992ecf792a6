"""The room of the scenario ``dlq-redrive``."""
