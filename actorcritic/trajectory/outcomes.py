"""What becomes known after a run: a user's thumb, a test that failed the next day. Safe beside a live run.

It goes into `outcomes/<writer>.jsonl`, apart from the events, so that it takes part in no resume. Every event there
has the number 0: readers order them by time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from actorcritic.errors import RecordError
from actorcritic.trajectory.events import Event, Kind, parse_line
from actorcritic.trajectory.journal import utc_now
from actorcritic.trajectory.reader import read_facts
from actorcritic.trajectory.recorder import EVENTS, OUTCOMES, PROBLEMS, FileRecorder

__all__ = ["append_outcome"]


def append_outcome(  # noqa: PLR0913 - who says what of which trial, and the two names that a caller may choose
    folder: Path,
    problem: str,
    trial: int | None,
    score: float,
    *,
    by: str,
    gold: bool = False,
    writer: str = "late",
    now: Callable[[], str] = utc_now,
) -> None:
    """Append what somebody says of an old trajectory.

    Args:
        folder: The run folder; the run may be at work.
        problem: Id of the problem.
        trial: Which attempt; None = the answer.
        score: In [0, 1], 1 = certainly correct.
        by: Who says it: `user:thumb`, `checker:NAME` ...
        gold: Whether a gold answer or the task's own checker stands behind it. The last score with one decides whether
            an attempt counts as correct.
        writer: Name of the file. Several processes may use one: each waits for its turn.
        now: Gives the time.

    Raises:
        RecordError: this is no run folder, it has no such problem or no such attempt, the score is outside its range,
            or nothing can be written.
    """
    if not (math.isfinite(score) and 0 <= score <= 1):
        raise RecordError(f"a score lies in [0, 1], {score} does not")
    facts = read_facts(folder)
    if not _has_problem(folder, problem):
        raise RecordError(f"{folder} has no problem {problem!r}")
    if trial is not None and not _was_asked(folder, problem, trial):
        raise RecordError(f"{folder} has no trial {trial} of problem {problem!r}: name one of its log, or none")
    event = Event(
        kind=Kind.SCORED,
        run=facts.run,
        problem=problem,
        seq=0,
        trial=trial,
        time=now(),
        payload={"by": by, "score": float(score), "gold": gold},
    )
    with FileRecorder(folder, writer, place=OUTCOMES, wait=True) as recorder:
        recorder.record(event)


def _has_problem(folder: Path, problem: str) -> bool:
    """Return whether a problem is one of a run's."""
    name = json.dumps(problem)
    with open(folder / PROBLEMS, encoding="utf-8") as file:
        return any(name in line and json.loads(line)["problem"]["id"] == problem for line in file)


def _was_asked(folder: Path, problem: str, trial: int) -> bool:
    """Return whether the log of a run, as far as it has come, holds a trial."""
    asked = f'"kind":"{Kind.ASKED.value}"'.encode()
    for path in sorted((folder / EVENTS).glob("*.jsonl")):
        with open(path, "rb") as file:
            for line in file:
                if asked in line and line.endswith(b"\n"):
                    event = parse_line(line)
                    if (event.kind, event.problem, event.trial) == (Kind.ASKED, problem, trial):
                        return True
    return False
