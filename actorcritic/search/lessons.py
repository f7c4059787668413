"""Reflections: what was wrong with failed attempts, shown to later trials.

LATS (Zhou et al. 2023, arXiv 2310.04406), after Reflexion (Shinn et al. 2023, arXiv 2303.11366). A reflection is the
critique of a failed finished attempt: its own, or where it has none that of a trial that judges it. An attempt with the
answer of an earlier failure teaches nothing new. Deviation: there are no more after `limit` failures, whereas LATS
writes all of them anew with each. Knows numbers of trials, no text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actorcritic.search.options import integer
from actorcritic.search.policy import LESSONS
from actorcritic.types import JsonValue, Outcome, Trial

__all__ = ["REFLECTIONS", "Lessons"]

REFLECTIONS = integer("reflections", 0, "failed attempts at most whose critiques are shown to later trials", low=0)
"""The option of searches that reflect; LATS takes 3."""


class Lessons:
    """Which failures are reflected on, and which reflections are there to be shown. Mutable."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answers: list[str | None] = []
        """Of the failures so far."""
        self._unjudged: list[int] = []
        self._learnt: list[int] = []

    def fail(self, trial: int, outcome: Outcome, *, judged: bool) -> None:
        """Take a failed attempt in; a critic has judged it already, or a trial is to do so."""
        known = outcome.vote_key is not None and outcome.vote_key in self._answers
        if len(self._answers) >= self._limit or known:
            return
        self._answers.append(outcome.vote_key)
        (self._learnt if judged else self._unjudged).append(trial)

    def pop(self) -> int | None:
        """Return the next attempt that wants a judging trial; None = there is none."""
        return self._unjudged.pop(0) if self._unjudged else None

    def learn(self, trial: int) -> None:
        """Take in that a judging trial has come back."""
        self._learnt.append(trial)

    def shown(self, trial: Trial) -> Trial:
        """Return the trial with the reflections known by now among its options."""
        return replace(trial, options={**trial.options, LESSONS: list(self._learnt)}) if self._learnt else trial

    def dump(self) -> JsonValue:
        """Return the whole state as JSON."""
        return {"answers": list(self._answers), "unjudged": list(self._unjudged), "learnt": list(self._learnt)}

    def load(self, state: Any) -> None:
        """Take back what `dump` gave."""
        self._answers, self._unjudged, self._learnt = state["answers"], state["unjudged"], state["learnt"]
