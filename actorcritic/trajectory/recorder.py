"""Where events go: a run folder, memory, or nowhere.

A run folder holds `run.json` and `problems.jsonl`, written before anything slow, and `events/<writer>.jsonl`:
append-only, one writer per file. A whole line goes out in one write, so that a killed process loses no finished event;
what a crash tears off is mended when the file is opened again. Knows nothing of what the events mean.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from actorcritic.codec import encode
from actorcritic.errors import RecordError
from actorcritic.trajectory.events import SCHEMA_VERSION, Event, parse_line, to_line
from actorcritic.types import JsonValue, Problem, Reference

__all__ = [
    "EVENTS",
    "OUTCOMES",
    "PROBLEMS",
    "RUN",
    "FileRecorder",
    "MemoryRecorder",
    "NullRecorder",
    "Recorder",
    "Torn",
    "add_problem",
    "create_run",
    "is_at_work",
    "torn_end",
]

RUN, PROBLEMS, EVENTS, OUTCOMES = "run.json", "problems.jsonl", "events", "outcomes"

TAIL = 1 << 16
"""How many bytes are read at a time in search of a file's last line."""


class Recorder(Protocol):
    """Takes events, in the order in which they happen."""

    def record(self, event: Event) -> None:
        """Keep an event; once this returns, a killed process does not lose it.

        Raises:
            RecordError: it could not be kept.
        """
        ...

    def flush(self) -> None:
        """Bring everything to where even a power cut does not lose it."""
        ...

    def close(self) -> None:
        """Flush and let go. Idempotent."""
        ...


class NullRecorder:
    """Keeps nothing."""

    def record(self, event: Event) -> None:
        """Forget it."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class MemoryRecorder:
    """Keeps events in `events`, for tests and for runs that nobody will resume."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Torn:
    """The rest of a line that was never finished."""

    path: Path
    offset: int
    """Where it begins, in bytes."""
    size: int
    """In bytes."""

    def __str__(self) -> str:
        where = f"{self.path.parent.name}/{self.path.name}"
        return f"the last line of {where} was never finished: {self.size} bytes are left out"


class FileRecorder:
    """Appends to one file of a run folder; holds a lock on it for as long as it is open."""

    def __init__(
        self, folder: Path, writer: str = "main", *, sync: bool = False, place: str = EVENTS, wait: bool = False
    ) -> None:
        """Open a run folder for writing.

        Args:
            folder: Made by `create_run`.
            writer: Name of the file; several processes write one run under several names.
            sync: Bring every event to the disk at once, against power cuts too; slow.
            place: `EVENTS`, or `OUTCOMES` for what becomes known after the run.
            wait: Wait for another writer of this name to end.

        Raises:
            RecordError: this is no run folder, or another writer of this name is at work.
        """
        if not (folder / RUN).is_file():
            raise RecordError(f"{folder} is no run folder: it has no {RUN}")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", writer) or writer.startswith("."):
            raise RecordError(f"a writer's name is made of letters, digits, '.', '_' and '-', not {writer!r}")
        self.path = folder / place / f"{writer}.jsonl"
        self._sync = sync
        try:
            self.path.parent.mkdir(exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RecordError(f"cannot write to {self.path}: {error.strerror}") from error
        self._lock(wait)
        self.mended = _mend(self._file, self.path)
        """What was cut off because a crash had torn it; None if nothing was."""
        self._size = os.fstat(self._file).st_size

    def record(self, event: Event) -> None:
        """See `Recorder.record`."""
        line = to_line(event)
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
            if self._sync:
                os.fsync(self._file)
        except OSError as error:
            self._take_back()
            raise RecordError(f"cannot write to {self.path}: {error.strerror}") from error
        self._size += len(line)

    def flush(self) -> None:
        """See `Recorder.flush`."""
        if self._file >= 0:
            os.fsync(self._file)

    def close(self) -> None:
        """See `Recorder.close`; the lock goes with it."""
        if self._file >= 0:
            self.flush()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self, wait: bool) -> None:
        # The system drops this lock with its process, however that ends, so none can go stale.
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            os.close(self._file)
            self._file = -1
            raise RecordError(f"{self.path} is in use by another writer") from error

    def _take_back(self) -> None:
        """Remove the beginning of a line that could not be finished: a full disk must not tear the log."""
        if self._file >= 0:
            os.ftruncate(self._file, self._size)


def create_run(
    folder: Path,
    *,
    run: str,
    config: Mapping[str, JsonValue],
    problems: Iterable[tuple[Problem, Reference | None]],
    created: str,
) -> None:
    """Write what a run begins with: `run.json` and the problems.

    Args:
        folder: Made if it does not exist.
        run: Id of the run.
        config: What resuming needs to know: strategy, models, seed, width, budget ...
        problems: With their gold sides, which stand apart.
        created: When, in UTC and ISO 8601.

    Raises:
        RecordError: the folder holds a run already, or cannot be written.
    """
    lines = [json.dumps({"problem": encode(problem), "reference": encode(gold)}) for problem, gold in problems]
    record = {"version": SCHEMA_VERSION, "run": run, "created": created, "problems": len(lines), "config": config}
    try:
        (folder / EVENTS).mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if (folder / RUN).exists():
                raise RecordError(f"{folder} holds a run already: resume it or choose another folder")
            _write(folder / PROBLEMS, "".join(f"{line}\n" for line in lines))
            # Last and at once: a folder with this file is a whole run folder.
            _write(folder / RUN, json.dumps(record, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise RecordError(f"cannot write the run folder {folder}: {error.strerror}") from error


def add_problem(folder: Path, problem: Problem) -> None:
    """Add a problem to a run that is at work, for runs whose problems come one by one.

    Raises:
        RecordError: the folder cannot be written.
    """
    line = json.dumps({"problem": encode(problem), "reference": None}) + "\n"
    try:
        with _alone(folder):
            with open(folder / PROBLEMS, "a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            record = json.loads((folder / RUN).read_text(encoding="utf-8"))
            record["problems"] += 1
            _write(folder / RUN, json.dumps(record, indent=2, allow_nan=False) + "\n")
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(f"cannot add a problem to the run folder {folder}: {error}") from error


def is_at_work(folder: Path, writer: str, place: str = EVENTS) -> bool:
    """Return whether somebody, this process included, holds a writer's file open.

    To find out takes the lock for a moment; so ask only of a writer that must not begin now anyway.
    """
    with open(folder / place / f"{writer}.jsonl", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep other processes that begin a run out of a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def torn_end(path: Path) -> Torn | None:
    """Return the rest of a line with which a file ends, None where it ends with a whole event or holds none.

    Looks at the file's end alone; of one that is being written it may be a line that is about to be finished.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start, rest = _last_line(file)
    finally:
        os.close(file)
    return _as_torn(path, start, rest)


def _mend(file: int, path: Path) -> Torn | None:
    """End a file with a whole line: finish one that lacks its newline only, cut off any other rest."""
    start, rest = _last_line(file)
    torn = _as_torn(path, start, rest)
    if torn is not None:
        os.ftruncate(file, start)
    elif rest:
        os.write(file, b"\n")
    return torn


def _as_torn(path: Path, start: int, rest: bytes) -> Torn | None:
    """Return what is no event as the rest of a line."""
    try:
        if rest:
            parse_line(rest)
    except RecordError:
        return Torn(path=path, offset=start, size=len(rest))
    return None


def _last_line(file: int) -> tuple[int, bytes]:
    """Return what stands after the last newline, and where that begins."""
    size = os.fstat(file).st_size
    start = _last_line_start(file, size)
    return start, os.pread(file, size - start, start)


def _last_line_start(file: int, size: int) -> int:
    """Return where the bytes after the last newline begin."""
    end = size
    while end > 0:
        begin = max(0, end - TAIL)
        newline = os.pread(file, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0
