"""The sandboxes by name. There is no unconfined one, and no falling back from one to another."""

from __future__ import annotations

from typing import Literal, TypeAlias

from actorcritic.errors import InputError
from actorcritic.tools.bubblewrap import BubblewrapSandbox
from actorcritic.tools.execution import Limits, Sandbox
from actorcritic.tools.monty import MontySandbox

__all__ = ["SANDBOXES", "SandboxName", "open_sandbox", "sandbox_named", "working_sandboxes"]

SandboxName: TypeAlias = Literal["monty", "bubblewrap"]

SANDBOXES: tuple[SandboxName, ...] = ("monty", "bubblewrap")
"""`monty`: a part of Python, fast, on every system. `bubblewrap`: CPython with packages, on Linux."""


def open_sandbox(name: SandboxName, limits: Limits | None = None) -> Sandbox:
    """Return a sandbox that works.

    Raises:
        InputError: there is none of this name, or it does not work on this machine; the message says what it needs.
    """
    return MontySandbox(limits) if sandbox_named(name) == "monty" else BubblewrapSandbox(limits)


def sandbox_named(text: str) -> SandboxName:
    """Return the name of a sandbox that a person wrote.

    Raises:
        InputError: there is none of this name.
    """
    for name in SANDBOXES:
        if name == text:
            return name
    raise InputError(f"unknown sandbox {text!r}; choose from: {', '.join(SANDBOXES)}")


def working_sandboxes() -> tuple[SandboxName, ...]:
    """Return the names of those that work on this machine; tries each out."""
    working: list[SandboxName] = []
    for name in SANDBOXES:
        try:
            open_sandbox(name).close()
        except InputError:
            continue
        working.append(name)
    return tuple(working)
