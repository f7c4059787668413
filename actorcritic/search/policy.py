"""The protocol of every search strategy: ask/tell.

A policy decides which trial comes next from what it was told; it knows no model, no clock, no asyncio and no LangGraph.
It is mutable, deterministic given its seed and the order of tells, and its whole state is one JSON value.

The names below are the vocabulary of `Trial.options`: all that a policy may ask of a trial beside its action.
"""

from __future__ import annotations

from typing import Protocol, Self

from actorcritic.types import Failure, JsonValue, Outcome, StopReason, Trial

__all__ = ["CRITIQUE", "LESSONS", "MAX_STEPS", "ORACLE", "REVISE_FROM", "REWARD", "TEMPERATURE", "Policy"]

CRITIQUE = "critique"
"""bool: whether the critic judges the result; where it is False, the outcome is unscored."""
LESSONS = "lessons"
"""list of int: trials whose critiques say what was wrong with failed attempts; they are shown to the actor."""
MAX_STEPS = "max_steps"
"""int >= 1: write at most so many new steps; absent = to the end."""
ORACLE = "oracle"
"""True: the outcome's verdict is the gold's own, not the critic's; only an oracle run may grant this."""
REVISE_FROM = "revise_from"
"""int >= 0: index of the first step to write anew; absent = the critique's first error."""
REWARD = "reward"
"""`reward-model` or `verifier`: who gives the result its reward; absent = nobody."""
TEMPERATURE = "temperature"
"""float >= 0: overrides the actor's own sampling temperature; 0 = greedy."""


class Policy(Protocol):
    """What the driver asks of a strategy."""

    def ask(self, k: int = 1) -> tuple[Trial, ...]:
        """Return up to `k` new trials, ids counting up from 0.

        Empty while it waits for trials in flight, and once `stopped` says why it is done.
        """
        ...

    def tell(self, trial: int, outcome: Outcome) -> None:
        """Take the result of a trial; telling the same trial again is a no-op.

        Raises:
            InputError: the trial was never asked.
        """
        ...

    def fail(self, trial: int, failure: Failure) -> None:
        """Take the failure of a trial; its siblings stay in play. Idempotent as `tell`."""
        ...

    def cancelled(self) -> tuple[int, ...]:
        """Return trials in flight that no longer matter; the driver stops them and tells or fails none of them."""
        ...

    @property
    def stopped(self) -> StopReason | None:
        """Why nothing more will be asked: "accepted", "completed", "exhausted" or "failed"; None while it goes on."""
        ...

    @property
    def best(self) -> int | None:
        """The trial whose solution would be the answer now: the best so far, never merely the last."""
        ...

    def dump(self) -> dict[str, JsonValue]:
        """Return the whole state, random generator included, as JSON."""
        ...

    @classmethod
    def load(cls, state: dict[str, JsonValue]) -> Self:
        """Return the policy that `dump` described."""
        ...
