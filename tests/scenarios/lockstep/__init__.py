"""The tests of programs in the simulation."""
