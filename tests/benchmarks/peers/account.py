"""One problem as a peer's method sees it: our actor and critic behind plain calls, and what they cost so far.

Bills are the library's own: the prefix tree of the problem, all roles together. Knows no peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from actorcritic.actor import ModelActor
from actorcritic.bench import ReadingRecord
from actorcritic.budget import Budget, Lease, Ledger
from actorcritic.loading import Roles
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.protocols import Critic
from actorcritic.tasks.checkers import verify
from actorcritic.types import Critique, Problem, Reference, Solution

__all__ = ["UNSCORED", "Account", "Peer", "Work", "read"]

UNSCORED = 0.0
"""The score of what the critic cannot judge: peers want a number, and with us too the unscored loses to all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A problem and who works on it."""

    problem: Problem
    actor: ModelActor
    critic: Critic
    seed: int

    @classmethod
    def of(cls, problem: Problem, roles: Roles, seed: int) -> Work:
        """Return the problem as a comparison's roles work on it."""
        assert roles.critic is not None  # loaded with one by the command
        return cls(problem=problem, actor=roles.actor, critic=roles.critic, seed=seed)


class Peer(Protocol):
    """A method of another library."""

    label: str

    async def solve(self, work: Work, budgets: Sequence[int]) -> list[ReadingRecord]:
        """Return what the method brings under each token budget, the smallest first."""
        ...


class Account:
    """What one run of a method spends. Mutable; every sample has a meter, so that calls side by side differ."""

    def __init__(self, work: Work, tokens: int | None = None) -> None:
        """Open an account.

        Args:
            work: The problem.
            tokens: The budget in logical tokens; None = unlimited, for methods that plan with a number of samples.
        """
        self.work = work
        self.solutions = 0
        """How many whole solutions were written."""
        lease = Ledger(Budget(tokens=tokens)).lease(0)
        assert lease is not None  # nothing else is open
        self._lease: Lease = lease

    def meter(self, *which: int | str) -> CallMeter:
        """Return the meter of a sample; numbered from 0, its seed is that of our trial of the same number."""
        return CallMeter(self._lease, seed=derive_seed(self.work.seed, self.work.problem.id, *which))

    async def critique(self, solution: Solution, meter: CallMeter) -> Critique:
        """Let the critic judge a whole or partial solution."""
        return await self.work.critic.critique(self.work.problem, solution, meter=meter)

    async def score(self, solution: Solution, meter: CallMeter) -> float:
        """Return the critic's score in [0, 1]; a text that was cut off is not asked about."""
        critique = await self.critique(solution, meter)
        return UNSCORED if critique.score is None else critique.score

    @property
    def tokens(self) -> int:
        """Logical tokens spent so far, all roles."""
        return self._lease.spent.total.logical_tokens

    async def reading(self, budget: int, solution: Solution | None, failures: int = 0) -> ReadingRecord:
        """Return what was spent so far and whether a solution is right."""
        usage = self._lease.spent.usage
        actor, critic = usage.get("actor"), usage.get("critic")
        return ReadingRecord(
            budget_tokens=budget,
            correct=bool(await verify(self.work.problem, solution, Reference())),
            total_tokens=self.tokens,
            actor_tokens=actor.logical_tokens if actor else 0,
            critic_tokens=critic.logical_tokens if critic else 0,
            seconds=0.0,
            trials=self.solutions,
            failures=failures,
        )


def read(reading: ReadingRecord, budget: int) -> ReadingRecord:
    """Return what a larger budget brings where nothing more fitted into it."""
    return reading.model_copy(update={"budget_tokens": budget})
