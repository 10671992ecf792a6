"""The benchmarks behind ``invoke bench``: what a user waits for, and what the embedded endpoint can carry.

Nothing here judges. Each figure is the median of several runs, beside the least and the most, on a named machine; a
claim about speed is the ratio of two figures of one run.
"""
