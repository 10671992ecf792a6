"""Invariants and witnesses that several scenarios share."""
