"""The commands on stacks, and all that they print."""
