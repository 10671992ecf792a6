"""Exploration: many simulated histories of one story, what they met, and the simplest one that violates a promise."""
