"""What a critic has said in a search already: one that repeats itself is asked about the same solution only once.

Actors write the same solution again and again, and a greedy critic says the same of it each time; what is not spent on
hearing it again buys further solutions. Makes no call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from actorcritic.graphs.trial import Attempt
from actorcritic.observation import Observation
from actorcritic.protocols import Critic, RepeatableCritic
from actorcritic.search.policy import LESSONS, ORACLE
from actorcritic.types import Critique, Solution, Trial, Verdict

__all__ = ["CritiqueMemory"]

_Key: TypeAlias = tuple[tuple[tuple[str, str, Observation | None], ...], str | None, bool]


class CritiqueMemory:
    """The critiques of one search's settled attempts. Mutable: it reads on as they become more."""

    def __init__(self, critic: Critic | None, attempts: Mapping[int, Attempt], width: int = 1) -> None:
        """Remember nothing yet.

        Args:
            critic: Who judges; nothing is ever recalled of one that does not say that it repeats itself.
            attempts: By trial; grows in the order of their ids while the search goes on.
            width: Trials in flight. A trial sees what had been settled whenever it began, hence the trials up to
                `width` before it and no other: which of them have ended by now is a matter of timing.
        """
        self._repeats = isinstance(critic, RepeatableCritic) and critic.repeatable
        self._attempts = attempts
        self._width = width
        self._read = 0
        self._known: dict[_Key, tuple[int, Critique]] = {}

    def recall(self, trial: Trial, solution: Solution) -> Critique | None:
        """Return what the critic said of the same solution in an earlier trial; None = it has to be asked.

        With lessons before the problem, or with the oracle's verdict, it is asked anew.
        """
        if not self._repeats or trial.options.get(ORACLE) is True or LESSONS in trial.options:
            return None
        last = trial.id - self._width
        while self._read <= last:
            self._take_in(self._read)
            self._read += 1
        first, critique = self._known.get(_key(solution), (trial.id, None))
        return critique if first <= last else None

    def _take_in(self, trial: int) -> None:
        """Keep a critique that can be said again: the critic's own, of something that it could judge."""
        attempt = self._attempts.get(trial)
        if attempt is None or attempt.critique is None:
            return
        if not attempt.critique.oracle and attempt.critique.verdict is not Verdict.UNSCORED:
            self._known.setdefault(_key(attempt.solution), (trial, attempt.critique))


def _key(solution: Solution) -> _Key:
    """Return what a critic sees of a solution."""
    return tuple((step.text, step.raw, step.observation) for step in solution.steps), solution.answer, solution.complete
