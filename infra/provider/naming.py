"""The names that resources get where the program leaves the choice: the logical name and a random suffix.

As pulumi-aws does, so that a replacement can be made before the old resource is deleted:
https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
"""

import hashlib

SUFFIX_LENGTH = 7
"""Hexadecimal digits after the hyphen."""


def choose_name(logical_name: str, random_seed: bytes, ending: str = "") -> str:
    """The logical name, a hyphen, seven hexadecimal digits drawn from the seed, and an ending that stays last."""
    return f"{logical_name}-{hashlib.sha256(random_seed).hexdigest()[:SUFFIX_LENGTH]}{ending}"


def type_of(urn: str) -> str:
    """The type token in a URN, without the types of its parents."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """The logical name in a URN."""
    return urn.split("::", 3)[3]
