"""Mutants: broken consumers, producers and tables, each a small named change, to show that the judge would see it.

A check that never fails proves nothing. For each mutant there is a workload in which a correct consumer violates
nothing, and in which the mutant must be found out within a bounded number of histories.
"""
