"""One sandbox of each kind for all tests of a process; a test is skipped where a kind does not work."""

from __future__ import annotations

from functools import cache

import pytest

from actorcritic.errors import InputError
from actorcritic.tools.execution import Limits, Sandbox
from actorcritic.tools.sandboxes import SandboxName, open_sandbox

__all__ = ["LIMITS", "sandbox_of"]

LIMITS = Limits(seconds=0.3, output=5_000)


@cache
def _open(name: SandboxName) -> Sandbox | str:
    try:
        return open_sandbox(name, LIMITS)
    except InputError as error:
        return str(error)


def sandbox_of(name: SandboxName) -> Sandbox:
    """Return the sandbox of this name, or skip the test."""
    found = _open(name)
    if isinstance(found, str):
        pytest.skip(found)
    return found
