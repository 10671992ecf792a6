"""The simulated tier: producers, consumers, the queue, the tables and the clock in one process, in virtual time.

Everything that could go one way or another is decided by one source of choices (``choices``), so that a seed gives
the same history each time, and Hypothesis can drive and shrink it.
"""
