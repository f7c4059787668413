"""Scores from outside: what a caller's own critic, reward model, verifier or function may hand in.

A number outside [0, 1] spoils every comparison that it enters, so it is refused where it comes in: one line that names
the range, which drivers record as that trial's failure. Knows no critic and no search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from actorcritic.errors import InputError
from actorcritic.types import Critique, Reward, Solution, Verdict

__all__ = ["SCORE_RANGE", "checked_critique", "checked_reward", "read_score"]

SCORE_RANGE = "a score is a number in [0, 1], 1 = certainly right, or None = unscored"
"""What every refusal of a score says."""


def read_score(raw: object, did: str) -> float | None:
    """Return a score as a float in [0, 1]; None = unscored.

    Args:
        raw: Any kind of number, True and False included.
        did: How the message begins, such as "the critic gave".

    Raises:
        InputError: it is no number in [0, 1].
    """
    if raw is None:
        return None
    try:
        score = float(cast("Any", raw)) if not isinstance(raw, str | bytes) else math.nan
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise InputError(f"{did} {raw!r:.60}: {SCORE_RANGE}")
    return score


def checked_critique(said: object, solution: Solution, who: str = "the critic") -> Critique:
    """Return what a critic said of a solution, its scores as floats.

    Raises:
        InputError: it is no critique of every step, a verdict is none, or a score is no number in [0, 1].
    """
    if not isinstance(said, Critique):
        raise InputError(f"{who} returned {said!r:.60}: return a Critique")
    _check_count(said.steps, solution, f"{who} judged", "entry")
    verdicts: list[object] = [said.verdict, *(step.verdict for step in said.steps)]
    for verdict in verdicts:
        if not isinstance(verdict, Verdict):
            raise InputError(f"{who} gave the verdict {verdict!r:.60}: use one of {', '.join(map(str, Verdict))}")
    given = (said.score, *(step.score for step in said.steps))
    score, *scores = (read_score(one, f"{who} gave") for one in given)
    if all(one is None or type(one) is float for one in given):
        return said
    steps = tuple(replace(step, score=one) for step, one in zip(said.steps, scores, strict=True))
    return replace(said, steps=steps, score=score)


def checked_reward(said: object, solution: Solution, who: str) -> Reward:
    """Return what a reward model or a verifier said of a solution, its scores as floats.

    Raises:
        InputError: it is no reward, scores some steps only, or a score is no number in [0, 1].
    """
    if not isinstance(said, Reward):
        raise InputError(f"{who} returned {said!r:.60}: return a Reward")
    if said.steps:
        _check_count(said.steps, solution, f"{who} scored", "score")
    score, *steps = (read_score(one, f"{who} gave") for one in (said.score, *said.steps))
    return replace(said, score=score, steps=tuple(steps))


def _check_count(entries: Sequence[object], solution: Solution, did: str, what: str) -> None:
    if len(entries) != len(solution.steps):
        raise InputError(f"{did} {len(entries)} steps of {len(solution.steps)}: return one {what} per step")
