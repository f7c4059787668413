"""Reads a run folder, at any moment, also while it is being written.

The last line of a file may be torn: it is left out and reported. A broken line elsewhere is an error, since events
after it would be read without what led to them. Knows nothing of what the events mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from actorcritic.codec import decode
from actorcritic.errors import RecordError
from actorcritic.trajectory.events import SCHEMA_VERSION, Event, parse_line
from actorcritic.trajectory.recorder import EVENTS, OUTCOMES, PROBLEMS, RUN, Torn, torn_end
from actorcritic.types import JsonValue, Problem, Reference

__all__ = [
    "RunFacts",
    "RunHead",
    "RunRecord",
    "by_problem",
    "in_order",
    "read_events",
    "read_facts",
    "read_head",
    "read_outcomes",
    "read_problems",
    "read_run",
    "torn_ends",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What `run.json` says."""

    run: str
    created: str
    config: Mapping[str, JsonValue]
    problems: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHead:
    """What a run began with."""

    run: str
    created: str
    config: Mapping[str, JsonValue]
    problems: tuple[Problem, ...]
    references: Mapping[str, Reference]
    """By problem id; a problem without a gold side is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as far as it has come."""

    head: RunHead
    events: Mapping[str | None, tuple[Event, ...]]
    """By problem id, in order; None = the run's own."""
    torn: tuple[Torn, ...] = field(default=())
    """Rests of unfinished lines, left out."""


def read_facts(folder: Path) -> RunFacts:
    """Read what `run.json` says.

    Raises:
        RecordError: this is no run folder, or one of another version.
    """
    try:
        data: Any = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{folder} is no run folder: {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{folder} cannot be read: {error}") from error
    if not isinstance(data, dict) or cast("dict[str, Any]", data).get("version") != SCHEMA_VERSION:
        raise RecordError(f"{folder / RUN} is not of version {SCHEMA_VERSION}")
    record = cast("dict[str, Any]", data)
    try:
        return RunFacts(
            run=record["run"], created=record["created"], config=record["config"], problems=record["problems"]
        )
    except KeyError as error:
        raise RecordError(f"{folder / RUN} lacks {error}") from error


def read_problems(folder: Path) -> Iterator[tuple[Problem, Reference | None]]:
    """Yield the problems of a run with their gold sides, in order, one in memory at a time.

    Raises:
        RecordError: the file is missing or cannot be read.
    """
    try:
        with open(folder / PROBLEMS, encoding="utf-8") as file:
            for line in file:
                pair = json.loads(line)
                gold = pair["reference"]
                yield decode(Problem, pair["problem"]), None if gold is None else decode(Reference, gold)
    except OSError as error:
        raise RecordError(f"{folder} is no run folder: {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{folder / PROBLEMS} cannot be read: {error}") from error


def read_head(folder: Path) -> RunHead:
    """Read what a run began with.

    Raises:
        RecordError: this is no run folder, or one of another version.
    """
    facts = read_facts(folder)
    pairs = list(read_problems(folder))
    return RunHead(
        run=facts.run,
        created=facts.created,
        config=facts.config,
        problems=tuple(problem for problem, _ in pairs),
        references={problem.id: reference for problem, reference in pairs if reference is not None},
    )


def read_events(folder: Path, *, on_torn: Callable[[Torn], None] | None = None) -> Iterator[Event]:
    """Yield the events of all writers, file by file, one in memory at a time.

    Args:
        folder: A run folder.
        on_torn: Hears of the rest of an unfinished line.

    Raises:
        RecordError: a line that is not the last of its file cannot be read; the message names it.
    """
    for path in sorted((folder / EVENTS).glob("*.jsonl")):
        yield from _read_file(path, on_torn)


def read_outcomes(folder: Path, *, on_torn: Callable[[Torn], None] | None = None) -> Iterator[Event]:
    """Yield what became known after the run, file by file; see `read_events`."""
    for path in sorted((folder / OUTCOMES).glob("*.jsonl")):
        yield from _read_file(path, on_torn)


def torn_ends(folder: Path) -> tuple[Torn, ...]:
    """Return the unfinished lines of a run's files, late outcomes included: what every way to read it leaves out.

    Looks at the ends of the files alone, so it costs the same for a run of any size.
    """
    paths = [path for place in (EVENTS, OUTCOMES) for path in sorted((folder / place).glob("*.jsonl"))]
    return tuple(torn for torn in map(torn_end, paths) if torn is not None)


def read_run(folder: Path) -> RunRecord:
    """Read a whole run into memory.

    Raises:
        RecordError: see `read_head` and `read_events`; also where two events of a problem have one number.
    """
    torn: list[Torn] = []
    events = by_problem(read_events(folder, on_torn=torn.append))
    return RunRecord(head=read_head(folder), events=events, torn=tuple(torn))


def by_problem(events: Iterator[Event]) -> dict[str | None, tuple[Event, ...]]:
    """Return events under their problems' ids, in order.

    Raises:
        RecordError: two events of a problem have one number, so two writers worked on it at a time.
    """
    groups: dict[str | None, list[Event]] = {}
    for event in events:
        groups.setdefault(event.problem, []).append(event)
    return {problem: in_order(group) for problem, group in groups.items()}


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return the events of one problem by their numbers.

    Raises:
        RecordError: two have one number, so two writers worked on the problem at a time.
    """
    group = sorted(events, key=lambda event: event.seq)
    for before, after in pairwise(group):
        if after.problem is not None and before.seq == after.seq:
            raise RecordError(f"problem {after.problem!r} has two events with the number {after.seq}")
    return tuple(group)


def _read_file(path: Path, on_torn: Callable[[Torn], None] | None) -> Iterator[Event]:
    """Yield the events of one file."""
    offset = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                event = parse_line(line)
            except RecordError as error:
                if line.endswith(b"\n"):
                    raise RecordError(f"{path}, line {number}: {error}") from error
                if on_torn is not None:
                    on_torn(Torn(path=path, offset=offset, size=len(line)))
                return
            yield event
            offset += len(line)
