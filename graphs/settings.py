"""How problems are searched: strategy, budget, window, seed. Shared by all graphs; knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actorcritic.budget import Budget, Ledger, Price
from actorcritic.errors import InputError
from actorcritic.graphs.results import RunFacts
from actorcritic.graphs.scoring import Scorers, check_scorers
from actorcritic.metering import derive_seed
from actorcritic.protocols import Critic
from actorcritic.search.policy import Policy
from actorcritic.search.strategies import StrategySpec, make_policy, needs_critic, needs_oracle
from actorcritic.types import Problem

__all__ = ["SearchSettings", "check_roles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How every problem of a run is searched."""

    strategy: StrategySpec
    budget: Budget = Budget()
    """Per problem."""
    width: int = 1
    """Trials in flight per problem, >= 1. The tree depends on it; 1 spends the fewest tokens."""
    seed: int = 0
    trial_tokens: int | None = None
    """What one trial costs at most, in logical tokens; None = unknown: under a token limit trials then run in turn."""
    trial_steps: int | None = None
    """How many steps one trial takes in an environment at most; None = unknown, with the same consequence."""
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])
    """Per model fingerprint, for a budget of money."""
    exact: bool = False
    """True where every engine counts a prompt exactly, so that a token budget is hard."""
    scorers: Scorers = field(default_factory=Scorers)
    """Who scores beside the critic, for a strategy that asks (`score=reward-model`, `score=verifier`)."""

    def __post_init__(self) -> None:
        """Refuse a window without room."""
        if self.width < 1:
            raise InputError(f"width must be at least 1, not {self.width}")

    @property
    def limited(self) -> bool:
        """Whether any limit ends a search."""
        return self.budget.limited

    def policy(self, problem: Problem) -> Policy:
        """Return a fresh policy for a problem, seeded from the run's seed and the problem."""
        return make_policy(self.strategy, seed=derive_seed(self.seed, problem.id, "policy"), budgeted=self.limited)

    def ledger(self) -> Ledger:
        """Return a fresh account for a problem."""
        dearest = max((price.dearest for price in self.prices.values()), default=None)
        return Ledger(self.budget, width=self.width, token_price=dearest)

    def oracle(self, critic: Critic | None) -> bool:
        """Return whether a gold answer or the task's own checker takes part in the search."""
        return (critic is not None and critic.oracle) or self.scorers.oracle(self.strategy)

    def facts(self, critic: Critic | None, run: str | None = None) -> RunFacts:
        """Return what every result says of the run."""
        return RunFacts(
            strategy=str(self.strategy),
            seed=self.seed,
            width=self.width,
            oracle=self.oracle(critic),
            budget="hard" if self.exact else "estimated",
            run=run,
        )


def check_roles(spec: StrategySpec, critic: Critic | None, scorers: Scorers | None = None) -> None:
    """Refuse a strategy that lacks the critic, the oracle or the scorer that it needs.

    Raises:
        InputError: it needs one and there is none, or it needs an oracle and this is no oracle run.
    """
    if critic is None and needs_critic(spec):
        raise InputError(f"the strategy {spec} needs a critic: give one, or choose greedy or majority")
    given = scorers if scorers is not None else Scorers()
    if needs_oracle(spec) and given.gold is None and (critic is None or not critic.oracle):
        raise InputError(
            f"the strategy {spec} needs an oracle run: give a verifier that knows (--verifier oracle), or such a critic"
        )
    check_scorers(spec, given)
