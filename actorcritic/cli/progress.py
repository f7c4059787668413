"""Progress of long work on stderr: a live line on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

__all__ = ["Progress"]

EVERY = 10.0
"""Seconds between two lines where stderr is no terminal."""


class Progress:
    """How far a run of so many problems has come."""

    def __init__(
        self, total: int, *, quiet: bool = False, what: str = "solving", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._done = 0
        self._old = 0
        self._tokens = 0
        self._right = 0
        self._known = 0
        self._clock = clock
        self._started = self._said = clock()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        live = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._bar = Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True)) if live else None
        self._task = self._bar.add_task(what, total=total, note="") if self._bar else None

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

    def advance(self, tokens: int, correct: bool | None, *, before: bool = False) -> None:
        """Count one more problem that is done.

        Args:
            tokens: What it cost, in logical tokens.
            correct: Whether its answer is right; None = nobody knows.
            before: Whether an earlier run had done it, so that it says nothing of the time that is left.
        """
        self._done += 1
        self._old += before
        self._tokens += tokens
        if correct is not None:
            self._known += 1
            self._right += correct
        if self._bar and self._task is not None:
            self._bar.update(self._task, advance=1, note=self.note)
        elif not self._quiet and (self._clock() - self._said >= EVERY or self._done == self._total):
            self._said = self._clock()
            sys.stderr.write(f"{self._done} of {self._total} problems, {self.note}\n")

    @property
    def note(self) -> str:
        """Tokens, accuracy so far and time left, as far as they are known."""
        parts = [f"{self._tokens} tokens"]
        if self._known:
            parts.append(f"{self._right / self._known:.0%} right")
        fresh, left = self._done - self._old, self._total - self._done
        if fresh and left:
            seconds = (self._clock() - self._started) / fresh * left
            parts.append(f"{timedelta(seconds=round(seconds))} left")
        return ", ".join(parts)
