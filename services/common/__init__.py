"""What ``infra`` takes from ``services``: the meaning of a host name, a number or a process; it imports nothing."""
