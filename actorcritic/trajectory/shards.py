"""Many writers on one run: which problems are whose, so that no problem has two writers at a time.

Every process that works on a run takes the problems of one shard and writes one file. Those at work at one time must
divide the problems in the same way; a run may go on under another division once they have ended.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from actorcritic.errors import InputError, RecordError
from actorcritic.trajectory.recorder import EVENTS, FileRecorder, is_at_work

__all__ = ["WHOLE", "Shard", "open_shard", "parse_shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """The problems whose ids hash to `index` modulo `count`."""

    index: int
    """0-based."""
    count: int
    """>= 1; 1 = all problems."""

    @property
    def writer(self) -> str:
        """Name of the file of events."""
        return "main" if self.count == 1 else f"shard-{self.index}-of-{self.count}"

    def holds(self, problem: str) -> bool:
        """Return whether a problem is one of these, by its id."""
        return int.from_bytes(hashlib.sha256(problem.encode()).digest()[:8], "big") % self.count == self.index


WHOLE = Shard(0, 1)
"""All problems."""


def parse_shard(text: str) -> Shard:
    """Read `I/N`, I counting from 0.

    Raises:
        InputError: it is no such text.
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    shard = Shard(int(found[1]), int(found[2])) if found else None
    if shard is None or shard.index >= shard.count:
        raise InputError(f"--shard takes I/N with I from 0 to N-1, such as 0/4, not {text!r}")
    return shard


def open_shard(folder: Path, shard: Shard) -> FileRecorder:
    """Open the file of a shard for writing.

    Raises:
        RecordError: this is no run folder, the shard is being worked on, or others divide the run in another way.
    """
    recorder = FileRecorder(folder, shard.writer)
    writers = [path.stem for path in sorted((folder / EVENTS).glob("*.jsonl"))]
    others = [name for name in writers if _count(name) not in (None, shard.count) and is_at_work(folder, name)]
    if others:
        recorder.close()
        raise RecordError(
            f"{folder} is being worked on as {', '.join(others)}: give --shard I/N with the same N, or wait"
        )
    return recorder


def _count(writer: str) -> int | None:
    """Return into how many shards the writer of a file divides the run; None for a writer of another kind."""
    if writer == WHOLE.writer:
        return WHOLE.count
    found = re.fullmatch(r"shard-\d+-of-(\d+)", writer)
    return int(found[1]) if found else None
