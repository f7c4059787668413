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
from actorcritic.trajectory.recorder import EVENTS, OUTCOMES, FileRecorder, is_at_work

__all__ = ["WHOLE", "Shard", "open_shard", "open_step_shard", "parse_shard"]


MAIN = "main"
"""The writer of a run that is not divided."""


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
        return MAIN if self.count == 1 else f"shard-{self.index}-of-{self.count}"

    def step_writer(self, step: str) -> str:
        """Name of the file of what a collection step appends."""
        return f"collect-{step}" if self.count == 1 else f"collect-{step}.{self.writer}"

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
    _refuse_other_divisions(recorder, folder, EVENTS, shard, whole=MAIN)
    return recorder


def open_step_shard(folder: Path, shard: Shard, step: str) -> FileRecorder:
    """Open the file of a collection step's shard for writing.

    Raises:
        RecordError: as of `open_shard`, of the same step.
    """
    recorder = FileRecorder(folder, shard.step_writer(step), place=OUTCOMES)
    _refuse_other_divisions(recorder, folder, OUTCOMES, shard, whole=WHOLE.step_writer(step))
    return recorder


def _refuse_other_divisions(recorder: FileRecorder, folder: Path, place: str, shard: Shard, *, whole: str) -> None:
    """Close a shard's file again where somebody at work divides the same work, named by its whole, in another way."""
    writers = [path.name.removesuffix(".jsonl") for path in sorted((folder / place).glob("*.jsonl"))]
    others = [
        name for name in writers if _count(name, whole) not in (None, shard.count) and is_at_work(folder, name, place)
    ]
    if others:
        recorder.close()
        raise RecordError(
            f"{folder} is being worked on as {', '.join(others)}: give --shard I/N with the same N, or wait"
        )


def _count(writer: str, whole: str) -> int | None:
    """Return into how many shards the writer of a file divides a work; None for a writer of another one."""
    if writer == whole:
        return WHOLE.count
    stem = "" if whole == MAIN else re.escape(f"{whole}.")
    found = re.fullmatch(rf"{stem}shard-\d+-of-(\d+)", writer)
    return int(found[1]) if found else None
