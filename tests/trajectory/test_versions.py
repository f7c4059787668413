"""Logs of older versions stay readable and can be gone on with; the golden ones are by the code of their time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.budget import Budget
from actorcritic.errors import RecordError
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.events import SCHEMA_VERSION, parse_line, to_line
from actorcritic.trajectory.reader import read_run
from actorcritic.trajectory.recorder import MemoryRecorder
from tests.trajectory.simulation import Parrot, Process, Setup

GOLDEN = Path(__file__).parent / "golden"
SETUP = Setup(strategy="revise", width=1, budget=Budget(tokens=200), trial_tokens=40, trials=5)


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_log_of_every_version_becomes_episodes(version: int) -> None:
    (episode,) = read_episodes(GOLDEN / f"version-{version}")
    assert (episode.run, episode.problem.id, episode.finished, episode.oracle) == ("r", "p", True, False)
    assert episode.gold is not None and episode.gold.answer == "a"
    assert (episode.provenance.strategy, {origin.model for origin in episode.provenance.models}) == (
        "revise",
        {"parrot"},
    )
    found = [(a.action.value, a.parent, a.complete, a.failure is not None, len(a.calls)) for a in episode.attempts]
    assert found == EXPECTED
    assert episode.spend.total.logical_tokens == sum(
        call.usage.logical_tokens for attempt in episode.attempts for call in attempt.calls
    )


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_log_of_every_version_can_be_gone_on_with(version: int) -> None:
    log = read_run(GOLDEN / f"version-{version}").events["p"]
    whole = Process(SETUP, Parrot(0.2), MemoryRecorder(), log).run()
    for cut in range(1, len(log)):
        again = Process(SETUP, Parrot(0.2), MemoryRecorder(), log[:cut]).run()
        assert again.ledger.spend == whole.ledger.spend and again.policy.dump() == whole.policy.dump()


def test_a_later_version_is_refused_and_nothing_else_changes_a_line() -> None:
    lines = (GOLDEN / f"version-{SCHEMA_VERSION}" / "events" / "main.jsonl").read_bytes().splitlines(keepends=True)
    for line in lines:
        assert json.loads(to_line(parse_line(line))) == json.loads(line)
    with pytest.raises(RecordError, match=f"of version {SCHEMA_VERSION + 1}; this library reads"):
        parse_line(lines[0].replace(b'"version":%d' % SCHEMA_VERSION, b'"version":%d' % (SCHEMA_VERSION + 1)))


EXPECTED: list[tuple[str, int | None, bool, bool, int]] = [
    ("propose", None, True, False, 2),
    ("revise", 0, True, False, 2),
    ("propose", None, True, False, 2),
    ("propose", None, True, False, 2),
    ("propose", None, False, True, 1),
]
