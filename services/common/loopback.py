"""Decides what names this machine alone."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Return whether a client reaches only this machine by a URL; a name under ``localhost`` counts (RFC 6761).

    Raises:
        ValueError: the URL is malformed.
    """
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or host.endswith(".localhost")
