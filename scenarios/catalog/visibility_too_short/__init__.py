"""The room of the scenario ``visibility-too-short``."""
