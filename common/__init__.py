"""What ``infra`` and ``services`` share, which know nothing of each other: the meaning of a name or a number."""
