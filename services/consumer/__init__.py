"""The consumer: receive, claim, look up, perform, complete, delete."""
