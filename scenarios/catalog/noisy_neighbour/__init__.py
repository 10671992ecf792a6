"""The room of the scenario ``noisy-neighbour``."""
