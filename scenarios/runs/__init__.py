"""Orchestration: one run, a suite of runs, and the directory that they leave."""
