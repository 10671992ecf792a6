"""The commands: one module a verb, and all that the terminal shows."""
