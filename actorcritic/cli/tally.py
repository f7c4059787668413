"""What a collection has brought so far: counted, shown as progress on stderr, summed up on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict

from actorcritic.cli.progress import Progress

__all__ = ["CollectReport", "Collected", "Hear", "Tally", "print_line"]


class Collected(BaseModel):
    """What one problem brought, in numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problem: str
    tokens: int
    """Logical tokens, all roles."""
    attempts: int
    """Trials that brought a solution."""
    right: int
    """Complete attempts that are right; 0 where nobody knows."""
    correct: bool | None
    """Whether the answer is right; None = nobody knows."""
    failed: bool
    """Whether the search failed as a whole."""
    before: bool = False
    """Whether an earlier run had done the search."""


Hear = Callable[[Collected], None]
"""Takes each problem as it is done."""


class CollectReport(BaseModel):
    """What `collect --json` prints."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """The run folder."""
    problems: int
    """Of this process's shard, or of all processes together."""
    done: int
    attempts: int
    right: int
    """Complete attempts that are right."""
    accuracy: float | None
    """Of the answers, in [0, 1], among those that can be told right from wrong; None = there are none."""
    tokens: int
    """Logical tokens, all roles, of every problem that is done."""
    failed: int
    """Problems whose search failed as a whole."""
    seconds: float
    """Of this call alone, not of those that it goes on from."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts what is done. Mutable; a context in which progress is shown."""

    problems: int
    quiet: bool = False
    done: int = 0
    attempts: int = 0
    right: int = 0
    tokens: int = 0
    failed: int = 0
    _known: int = 0
    _correct: int = 0
    _started: float = field(default_factory=time.monotonic)
    _progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        """Make the progress, not yet shown."""
        self._progress = Progress(self.problems, quiet=self.quiet, what="collecting")

    def hear(self, item: Collected) -> None:
        """Count one more problem."""
        self.done += 1
        self.attempts += item.attempts
        self.right += item.right
        self.tokens += item.tokens
        self.failed += item.failed
        if item.correct is not None:
            self._known += 1
            self._correct += item.correct
        self._progress.advance(item.tokens, item.correct, before=item.before)

    def report(self, folder: Path) -> CollectReport:
        """Return the sums."""
        return CollectReport(
            run=str(folder),
            problems=self.problems,
            done=self.done,
            attempts=self.attempts,
            right=self.right,
            accuracy=self._correct / self._known if self._known else None,
            tokens=self.tokens,
            failed=self.failed,
            seconds=round(time.monotonic() - self._started, 3),
        )

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)


def print_line(item: Collected) -> None:
    """Say that a problem is done to the process that this one works for."""
    sys.stdout.write(f"{item.model_dump_json()}\n")
    sys.stdout.flush()
