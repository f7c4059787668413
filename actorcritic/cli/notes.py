"""What a run has found out about its engines, and what it cost: a few lines on stderr when it is over."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from actorcritic.cli.display import printable
from actorcritic.protocols import Engine

__all__ = ["say_notes"]


def say_notes(engines: Iterable[Engine], money: float) -> None:
    """Say each note once, and the money where there was a price."""
    notes = dict.fromkeys(note for engine in engines for note in engine.info.notes)
    for note in notes:
        sys.stderr.write(f"note: {printable(' '.join(note.split()))}\n")
    if money:
        sys.stderr.write(f"money: {money:.6g}, in the currency of the price file\n")
