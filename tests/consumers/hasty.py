"""Which scenario convicts which handler of ``plain/hasty_handler.py`` and ``plain/handler.py``, and of what."""

TRUE_BUGS = [
    ("partial-batch", "handler.raises", "wrongly-dead-lettered"),
    ("fifo-order", "hasty_handler.goes_on", "order-violated"),
    ("dlq-redrive", "hasty_handler.never_asks", "paid-twice"),
    ("check-race", "hasty_handler.looks", "duplicated-side-effect"),
    ("business-idempotency", "hasty_handler.by_id", "unpaid"),
    ("business-idempotency", "hasty_handler.never_asks", "paid-twice"),
]
