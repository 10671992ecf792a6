"""The producer: synthetic messages, in batches, at a rate."""
