"""Progress of long work on stderr: a live line on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

__all__ = ["Progress"]

EVERY = 10.0
"""Seconds between two lines where stderr is no terminal."""


class Progress:
    """How far a run of so many problems has come."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._total = total
        self._done = 0
        self._tokens = 0
        self._right = 0
        self._known = 0
        self._said = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        live = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._bar = (
            Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) if live else None
        )
        self._task = self._bar.add_task("solving", total=total, note="") if self._bar else None

    def __enter__(self) -> Self:
        """Begin to show it."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing it."""
        if self._bar:
            self._bar.stop()

    def advance(self, tokens: int, correct: bool | None) -> None:
        """Count one more problem that is done."""
        self._done += 1
        self._tokens += tokens
        if correct is not None:
            self._known += 1
            self._right += correct
        note = f"{self._tokens} tokens"
        if self._known:
            note += f", {self._right / self._known:.0%} right"
        if self._bar and self._task is not None:
            self._bar.update(self._task, advance=1, note=note)
        elif not self._quiet and (time.monotonic() - self._said >= EVERY or self._done == self._total):
            self._said = time.monotonic()
            sys.stderr.write(f"{self._done} of {self._total} problems, {note}\n")
