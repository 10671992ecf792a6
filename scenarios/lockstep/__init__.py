"""Programs of any make in the simulation: each HTTP request is the operation that a simulated process yields.

While a program computes, virtual time stands still. What it asks for waits until the scheduler lets it go on.
"""
