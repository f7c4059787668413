"""The folder of a comparison: options and problems before anything slow, one line per problem that has ended, results.

`run.json` and `problems.jsonl` as in every run folder, `rows.jsonl` while it runs, `bench.json` and `scaling.png` at
the end. One writer at a time. Knows nothing of what the rows mean.
"""

from __future__ import annotations

import fcntl
import json
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

__all__ = ["BenchFolder", "Rows", "read_options"]

ROWS, REPORT = "rows.jsonl", "bench.json"

_Key = tuple[str, int, int, str]
"""Strategy, seed, token limit of the run, problem."""


class Rows:
    """Rows of a comparison, in memory. Mutable: it grows."""

    def __init__(self, rows: Sequence[ProblemRow] = ()) -> None:
        self.rows = list(rows)
        self._keys = {_key(row) for row in self.rows}

    def has(self, strategy: str, seed: int, limit: int, problem: str) -> bool:
        """Return whether a problem has ended in a run."""
        return (strategy, seed, limit, problem) in self._keys

    def add(self, row: ProblemRow) -> None:
        """Take one more."""
        self.rows.append(row)
        self._keys.add(_key(row))

    def save(self, report: BenchReport) -> None:
        """Keep the result; in memory there is nothing to do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""


class BenchFolder(Rows):
    """Rows that are kept in a folder, each as soon as it is there."""

    def __init__(self, folder: Path) -> None:
        """Open a folder that `create` made.

        Raises:
            InputError: another writer is at work, or the rows cannot be read.
        """
        self.folder = folder
        self._file = _open(folder / ROWS)
        try:
            super().__init__(_read(self._file, folder / ROWS))
        except InputError:
            self._file.close()
            raise

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

    def add(self, row: ProblemRow) -> None:
        """See `Rows.add`; the line goes out in one write, so that a kill loses no finished problem."""
        self._file.write(f"{row.model_dump_json()}\n".encode())
        super().add(row)

    def save(self, report: BenchReport) -> None:
        """Write the result."""
        (self.folder / REPORT).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; the lock goes with it."""
        self._file.close()


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
    return row.strategy, row.seed, row.limit, row.problem


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
