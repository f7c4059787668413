"""Finds the events of one problem in a run of any size, without holding the run in memory.

One pass over the files notes where each problem's lines stand, in a temporary database on disk; events themselves are
read when somebody asks. What was written after that pass is not seen. Knows nothing of what the events mean.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from actorcritic.errors import RecordError
from actorcritic.trajectory.events import Event, parse_line
from actorcritic.trajectory.reader import in_order
from actorcritic.trajectory.recorder import EVENTS, OUTCOMES, Torn

__all__ = ["EventIndex"]

HEAD = re.compile(
    rb'\{"version":\d+,"kind":"[a-z_]+","run":"(?:[^"\\]|\\.)*","problem":("(?:[^"\\]|\\.)*"|null),"seq":'
)
"""How a line begins that this library wrote; any other line is parsed whole."""

PAGES = -4096
"""Memory of the temporary database, in KiB with a minus sign, as SQLite takes it."""


class EventIndex:
    """Where each problem's events stand. Mutable only while it is made; close it when done."""

    def __init__(self, folder: Path) -> None:
        """Look through a run folder.

        Raises:
            RecordError: a line that is not the last of its file cannot be read; the message names it.
        """
        self.torn: list[Torn] = []
        """Rests of unfinished lines, left out."""
        logs = sorted((folder / EVENTS).glob("*.jsonl"))
        self._paths = (*logs, *sorted((folder / OUTCOMES).glob("*.jsonl")))
        self._logs = len(logs)
        # An empty name is a file that SQLite deletes with the connection.
        self._places = sqlite3.connect("")
        self._places.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size={PAGES};"
            "CREATE TABLE place (problem BLOB, file INTEGER, start INTEGER, size INTEGER)"
        )
        for number, path in enumerate(self._paths):
            self._places.executemany("INSERT INTO place VALUES (?, ?, ?, ?)", self._scan(number, path))
        self._places.execute("CREATE INDEX by_problem ON place (problem, file, start)")

    def events(self, problem: str | None) -> tuple[Event, ...]:
        """Return a problem's events in order, those of the run as a whole for None.

        Raises:
            RecordError: an event cannot be read, or two have one number.
        """
        return in_order(self._read(problem, range(self._logs)))

    def outcomes(self, problem: str) -> tuple[Event, ...]:
        """Return what became known of a problem after its run, in the order of time.

        Raises:
            RecordError: an event cannot be read.
        """
        late = self._read(problem, range(self._logs, len(self._paths)))
        return tuple(sorted(late, key=lambda event: event.time))

    def problems(self) -> Iterator[str]:
        """Yield the ids of the problems with events, in alphabetical order."""
        for (problem,) in self._places.execute(
            "SELECT DISTINCT problem FROM place WHERE problem IS NOT NULL ORDER BY problem"
        ):
            yield problem.decode("utf-8", "surrogatepass")

    def close(self) -> None:
        """Let go. Idempotent."""
        self._places.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _scan(self, number: int, path: Path) -> Iterator[tuple[bytes | None, int, int, int]]:
        """Yield the place of every line of a file."""
        start = 0
        with open(path, "rb") as file:
            for count, line in enumerate(file, start=1):
                try:
                    problem = _problem_of(line)
                except RecordError as error:
                    if line.endswith(b"\n"):
                        raise RecordError(f"{path}, line {count}: {error}") from error
                    self.torn.append(Torn(path=path, offset=start, size=len(line)))
                    return
                yield _key(problem), number, start, len(line)
                start += len(line)

    def _read(self, problem: str | None, files: Iterable[int]) -> list[Event]:
        """Read a problem's events from these files."""
        rows = self._places.execute(
            "SELECT file, start, size FROM place WHERE problem IS ? ORDER BY file, start", (_key(problem),)
        )
        wanted: dict[int, list[tuple[int, int]]] = {}
        for number, start, size in rows:
            wanted.setdefault(number, []).append((start, size))
        return [event for number in files for event in self._lines(number, problem, wanted.get(number, ()))]

    def _lines(self, number: int, problem: str | None, places: Iterable[tuple[int, int]]) -> Iterator[Event]:
        """Yield the events at these places of a file."""
        if not places:
            return
        path = self._paths[number]
        with open(path, "rb") as file:
            for start, size in places:
                file.seek(start)
                try:
                    event = parse_line(file.read(size))
                except RecordError as error:
                    raise RecordError(f"{path}, byte {start}: {error}") from error
                if event.problem != problem:
                    raise RecordError(f"{path}, byte {start}: an event that names its problem twice")
                yield event


def _key(problem: str | None) -> bytes | None:
    """Return a problem's id as the database takes it: half of a surrogate pair is no text for it."""
    return None if problem is None else problem.encode("utf-8", "surrogatepass")


def _problem_of(line: bytes) -> str | None:
    """Return the problem that a line belongs to.

    Raises:
        RecordError: it is no whole event.
    """
    found = HEAD.match(line)
    if found is not None and line.endswith(b"}\n"):
        return cast("str | None", json.loads(found[1]))
    return parse_line(line).problem
