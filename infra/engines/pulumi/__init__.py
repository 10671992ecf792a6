"""The real Pulumi engine, run through its CLI."""
