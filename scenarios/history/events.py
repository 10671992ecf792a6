"""The names of events and processes that a lab notes in the history, and that checks and reports read."""

from __future__ import annotations

from scenarios.history.records import LAB

#: A lab asks a consumer to end. ``asked`` is the consumer's name, and ``heard_within`` the lab's seconds within which
#: the signal reaches it.
ASKED_TO_END = "asked-to-end"
#: An autoscaler changes the number of consumers.
SCALED = "scaled"
#: A machine kept a process from its processors. ``waiter`` is its name, ``seconds`` for how long it was ready to run
#: and did not, ``within`` the lab's seconds until now in which that was.
WAITED = "waited"
#: A table answers a read that is not consistent from before its last write; the endpoint's own word. ``key`` is the
#: item's, and ``reader`` the process that asked, where that is a program or a handler.
STALE_READ = "stale-read"
#: A lab has dead letters moved back at an endpoint that does not tell which message became which.
REDRIVING = "redriving"
#: By its scenario's settings a consumer's claims may outlast their deliveries. ``seconds`` is for how long.
LONG_LEASE = "long-lease"
#: The lab's client that takes a message's payload out of the bucket, and the one that sweeps what is left in it.
REMOVER, SWEEPER = f"{LAB}-payloads", f"{LAB}-sweep"
