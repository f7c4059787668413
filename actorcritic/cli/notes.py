"""What a person should know of a run beside its result, in a few lines on stderr.

What a log has lost is said before it is read; what a run has found out about its engines and what it cost, at its end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from actorcritic.cli.display import printable
from actorcritic.protocols import Engine
from actorcritic.trajectory.reader import torn_ends

__all__ = ["say_notes", "say_torn"]


def say_torn(folder: Path) -> None:
    """Say of every file of a run folder that ends in an unfinished line, which a crash tore off, what is left out."""
    for torn in torn_ends(folder):
        sys.stderr.write(f"note: {printable(str(torn))}\n")


def say_notes(engines: Iterable[Engine], money: float) -> None:
    """Say each note once, and the money where there was a price."""
    notes = dict.fromkeys(note for engine in engines for note in engine.info.notes)
    for note in notes:
        sys.stderr.write(f"note: {printable(' '.join(note.split()))}\n")
    if money:
        sys.stderr.write(f"money: {money:.6g}, in the currency of the price file\n")
