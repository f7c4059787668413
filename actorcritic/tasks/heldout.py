"""Which problems training may see, decided by one published rule over a problem's key.

A problem is a test problem when `int(sha256(key).hexdigest(), 16) % 10 == 0`; bucket 1 is for development choices.
This module knows keys only, no family.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal, TypeAlias

__all__ = ["KEY", "Split", "may_train", "split_of"]

KEY = "heldout_key"
"""Field of a problem's `meta`: its key, where its text does not say which problem it is, as in an environment."""

Split: TypeAlias = Literal["train", "dev", "test"]
"""`test` is looked at for final figures only; `dev` is for every choice made on the way."""


def split_of(key: str) -> Split:
    """Return the split that the published rule gives to a problem key such as `countdown:3,7,14->15`."""
    bucket = int(sha256(key.encode()).hexdigest(), 16) % 10
    if bucket == 0:
        return "test"
    return "dev" if bucket == 1 else "train"


def may_train(keys: Iterable[str]) -> bool:
    """Return True if every key (a problem's own and those of the states it passes through) is a training key."""
    return all(split_of(key) == "train" for key in keys)
