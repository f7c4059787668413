"""Small comparisons through the command, and what the tests of them read off."""

from __future__ import annotations

from typing import Any

from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.loading import Roles
from tests.cli.conftest import Output

TEXT = "Use 7, 13 and 14 to make 15."
SMALL = ("bench", "--task", "countdown-3", "--limit", 4, "--budgets", "90,200")


def report(done: Output) -> dict[str, Any]:
    """Return the only line on stdout."""
    (line,) = done.records
    return line


def calls(roles: Roles) -> int:
    return sum(len(engine.calls) for engine in roles.engines if isinstance(engine, ScriptedEngine))


def figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a report without what differs from run to run."""
    return [{**row, "seconds": 0} for row in found["rows"]]
