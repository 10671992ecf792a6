"""The tiers: where a scenario's story is staged."""
