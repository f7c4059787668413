"""Training or validation, by problem: every row of a problem goes the same way, whatever else is in the run.

Decided by a hash of the problem's words, so that one problem under two ids is never on both sides.
"""

from __future__ import annotations

import math
from hashlib import sha256

from actorcritic.errors import InputError
from actorcritic.export.exclusion import words_of
from actorcritic.types import Problem

__all__ = ["SPLITS", "parse_split", "split_of_problem"]

SPLITS = ("train", "validation")


def parse_split(text: str) -> float:
    """Return the share of problems that are trained on, in (0, 1], from text such as `0.95/0.05`.

    Raises:
        InputError: these are not two shares that add up to 1.
    """
    try:
        train, validation = map(float, text.split("/"))
    except ValueError:
        train, validation = math.nan, math.nan
    if not (0 < train <= 1 and 0 <= validation < 1 and math.isclose(train + validation, 1, abs_tol=1e-6)):
        raise InputError(f"--split must be two shares that add up to 1, such as 0.95/0.05, not {text!r}")
    return train


def split_of_problem(problem: Problem, share: float, seed: int) -> str:
    """Return `train` or `validation`.

    Args:
        problem: Only its words count.
        share: Of problems to train on, in (0, 1].
        seed: Another seed gives another split.
    """
    asked = [problem.prompt] if isinstance(problem.prompt, str) else [message.content for message in problem.prompt]
    words = "\x1f".join(" ".join(words_of(text)) for text in asked)
    drawn = int.from_bytes(sha256(f"split\x1f{seed}\x1f{words}".encode()).digest()[:8], "big") / 2**64
    return SPLITS[0] if drawn < share else SPLITS[1]
