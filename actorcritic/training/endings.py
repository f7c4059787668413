"""Whether a text in the embedded pair's own words is whole, so that the end token follows it. Pure.

One step of a search is a completion, too, and a model that learnt to end after a step would end there at inference. A
text of any other kind is whole.
"""

from __future__ import annotations

import re
from itertools import takewhile

__all__ = ["ends"]

_COUNTDOWN = re.compile(r"numbers ((?:\d+ )+)=\d+\n")
_SUDOKU = re.compile(r"sudoku ((?:r\dc\d=\d\n)*)fill\n")
_ARITHMETIC = re.compile(r"compute ([^\n]*)=\?\n")
_JUDGE, _REJECT = "judge\n", "reject "
CELLS = 16


def ends(prompt: str, completion: str) -> bool:
    """Whether a completion ends what its prompt asked for.

    Args:
        prompt: What is read; may hold the problem, steps that are kept, and a rejected step.
        completion: What is written: whole lines.
    """
    found = next((pattern.match(prompt) for pattern in _STEPS if pattern.match(prompt)), None)
    if found is None or prompt.endswith(_JUDGE):
        return True
    begun = prompt[found.end() :].splitlines()
    kept = list(takewhile(lambda line: not line.startswith(_REJECT), begun))
    return len(kept) + len(completion.splitlines()) >= _steps(found)


_STEPS = (_COUNTDOWN, _SUDOKU, _ARITHMETIC)


def _steps(found: re.Match[str]) -> int:
    """Return how many steps a whole solution has."""
    inside = found[1].split()
    if found.re is _COUNTDOWN:
        return len(inside) - 1
    return CELLS - len(inside) if found.re is _SUDOKU else sum(word in "+-*" for word in inside)
