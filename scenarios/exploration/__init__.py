"""Exploration: many simulated histories of one scenario, and the shortest one that violates an invariant."""
