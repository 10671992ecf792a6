"""The tier on real processes."""
