"""The folder of a comparison: options and problems before anything slow, one line per problem that has ended, results.

`run.json` and `problems.jsonl` as in every run folder; while it runs `searches/NAME`, one run folder per strategy and
seed with the log of every call, and `rows.jsonl`; `bench.json` and `scaling.png` at the end. One writer at a time.
Knows nothing of what the rows mean.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pydantic import ValidationError

from actorcritic.bench import BenchReport, ProblemRow
from actorcritic.errors import InputError, RecordError
from actorcritic.trajectory.journal import utc_now
from actorcritic.trajectory.reader import read_head
from actorcritic.trajectory.recorder import create_run
from actorcritic.types import JsonValue, Problem, Reference

__all__ = ["BenchFolder", "new_folder", "read_options"]

ROWS, REPORT, SEARCHES = "rows.jsonl", "bench.json", "searches"

RUNS = Path("runs")
"""Where a comparison goes that was given no folder."""

_Key = tuple[str, int, int]
"""Strategy, seed, token limit: what tells a run of a comparison from the others."""


class BenchFolder:
    """A comparison's folder, open for one writer. Mutable: its rows grow, each kept as soon as it is there."""

    def __init__(self, folder: Path) -> None:
        """Open a folder that `create` made.

        Raises:
            InputError: another writer is at work, or the rows cannot be read.
        """
        self.folder = folder
        self._file = _open(folder / ROWS)
        try:
            self.rows = _read(self._file, folder / ROWS)
        except InputError:
            self._file.close()
            raise
        self._keys = {(_key(row), row.problem) for row in self.rows}

    @classmethod
    def create(
        cls, folder: Path, options: Mapping[str, JsonValue], problems: Sequence[tuple[Problem, Reference]]
    ) -> Self:
        """Begin a comparison in a new folder.

        Raises:
            InputError: the folder holds a run already, or cannot be written.
        """
        try:
            create_run(folder, run=uuid.uuid4().hex[:12], config=options, problems=problems, created=utc_now())
        except RecordError as error:
            raise InputError(str(error)) from error
        return cls(folder)

    def has(self, run: _Key, problem: str) -> bool:
        """Return whether a problem has ended in a run."""
        return (run, problem) in self._keys

    def add(self, row: ProblemRow) -> None:
        """Take one more row; the line goes out in one write, so that a kill loses no finished problem."""
        self._file.write(f"{row.model_dump_json()}\n".encode())
        self.rows.append(row)
        self._keys.add((_key(row), row.problem))

    def place(self, name: str) -> Path:
        """Return the run folder of one run of the comparison, whether it has begun or not."""
        return self.folder / SEARCHES / name

    @property
    def log_bytes(self) -> int:
        """What the run folders of all runs take."""
        return sum(path.stat().st_size for path in (self.folder / SEARCHES).rglob("*") if path.is_file())

    def save(self, report: BenchReport) -> None:
        """Write the result."""
        (self.folder / REPORT).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; the lock goes with it."""
        self._file.close()


def new_folder(task: str, now: str) -> Path:
    """Return a folder under `runs/` that is not there yet, named after a task and the time in UTC and ISO 8601."""
    stem = f"bench-{re.sub(r'[^A-Za-z0-9.-]+', '-', task)}-{re.sub(r'[-:]', '', now)[:15]}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(RUNS / name for name in names if not (RUNS / name).exists())


def read_options(folder: Path) -> tuple[Mapping[str, JsonValue], list[tuple[Problem, Reference]]]:
    """Return the options and problems that a comparison began with.

    Raises:
        InputError: this is no run folder, or one of another version.
    """
    try:
        head = read_head(folder)
    except RecordError as error:
        raise InputError(str(error)) from error
    return head.config, [(problem, head.references.get(problem.id, Reference())) for problem in head.problems]


def _key(row: ProblemRow) -> _Key:
    return row.strategy, row.seed, row.limit


def _open(path: Path) -> BinaryIO:
    """Open a file of rows for one writer."""
    try:
        file = open(path, "a+b", buffering=0)
    except OSError as error:
        raise InputError(f"cannot write to {path}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InputError(f"{path} is in use by another writer") from error
    return file


def _read(file: BinaryIO, path: Path) -> list[ProblemRow]:
    """Return the rows in a file, cutting off the beginning of a line that a crash tore."""
    file.seek(0)
    text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        file.truncate(len(whole))
    rows: list[ProblemRow] = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            rows.append(ProblemRow.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            raise InputError(f"{path}, line {number}: this is no row of a comparison") from error
    return rows
