"""What a Python program loads before anything of its own, so that it can be forked for each history."""
