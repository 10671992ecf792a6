"""A stack: its name, files, lock, configuration, target and endpoint, and the work on it."""
