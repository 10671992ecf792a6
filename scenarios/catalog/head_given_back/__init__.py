"""The room of the scenario ``head-given-back``."""
