"""Never over budget: every policy under the real driver and ledger, in random schedules of calls, ends and failures."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from actorcritic.budget import Budget, Charge, Lease, Ledger
from actorcritic.errors import BudgetExhausted
from actorcritic.exploration import Exploration, Search, without_means
from actorcritic.search.base import TreePolicy
from actorcritic.search.strategies import STRATEGIES, make_policy, parse_strategy
from actorcritic.types import Failure, Outcome, Trial, Usage
from tests.search.simulation import Random

SCHEDULES = 1000
"""Of each policy."""


@dataclass(slots=True, kw_only=True)
class Schedule(Search[Outcome]):
    """A search of one random world, whose trials make calls of random lengths at random times."""

    draw: random.Random
    world: Random
    running: dict[int, Lease] = field(default_factory=dict[int, Lease])
    highest: Usage = Usage()
    """The most that was spent at any time, by settled trials and by those in flight."""

    async def run(self, trial: Trial, parent: Outcome | None, lease: Lease) -> Outcome | Failure:
        """Make some calls, then come to what the world says."""
        self.running[trial.id] = lease
        for call in range(self.draw.randint(1, 3)):
            prompt = tuple(self.draw.randint(0, 2) for _ in range(self.draw.randint(1, 6)))
            try:
                grant = lease.admit("m", prompt, self.draw.randint(1, 30))
            except BudgetExhausted as error:
                if call == 0:
                    return without_means(error)
                break
            if self.draw.random() < 0.3:
                await asyncio.sleep(0)
            written = tuple(self.draw.randint(0, 2) for _ in range(self.draw.randint(1, grant.max_tokens)))
            usage = Usage(calls=1, prompt_tokens=len(prompt), completion_tokens=len(written))
            lease.charge(Charge(role="actor", model="m", prompt_ids=prompt, completion_ids=written, usage=usage))
            self._look()
        assert isinstance(self.policy, TreePolicy)
        return self.world(self.policy, trial)

    def outcome_of(self, trial: Trial, attempt: Outcome, tokens: int) -> Outcome:
        return attempt

    def settle(self, trial: Trial, result: Outcome | Failure | None, spend: object = None) -> None:
        self.running.pop(trial.id, None)
        Search[Outcome].settle(self, trial, result)
        self._look()

    def _look(self) -> None:
        spent = sum((lease.spent.total for lease in self.running.values()), self.ledger.spend.total)
        self.highest = Usage(
            calls=max(self.highest.calls, spent.calls),
            logical_tokens=max(self.highest.logical_tokens, spent.logical_tokens),
        )


async def carry_out(strategy: str, seed: int) -> tuple[Schedule, Budget, str]:
    """Run one schedule to its end."""
    draw = random.Random(f"{strategy} {seed}")
    budget = Budget(tokens=draw.choice([None, draw.randint(1, 150)]), calls=draw.choice([None, draw.randint(1, 12)]))
    if not budget.limited:
        budget = Budget(tokens=draw.randint(1, 150))
    width = draw.randint(1, 5)
    search = Schedule(
        policy=make_policy(parse_strategy(strategy), seed=seed, budgeted=True),
        ledger=Ledger(budget, width=width),
        draw=draw,
        world=Random(seed=seed, right=draw.choice([0.0, 0.1]), broken=draw.choice([0.0, 0.2])),
    )
    known = draw.random() < 0.7
    exploration = Exploration(
        search=search,
        run=search.run,
        width=width,
        trial_tokens=draw.randint(10, 60) if known else None,
        trial_calls=3 if known else None,
    )
    return search, budget, await exploration.explore()


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_never_over_budget_in_any_schedule(strategy: str) -> None:
    async def all_of_them() -> set[str]:
        reasons: set[str] = set()
        for seed in range(SCHEDULES):
            search, budget, reason = await carry_out(strategy, seed)
            assert budget.tokens is None or search.highest.logical_tokens <= budget.tokens, seed
            assert budget.calls is None or search.highest.calls <= budget.calls, seed
            assert not search.running and search.highest.calls == search.ledger.spend.total.calls
            reasons.add(reason)
        return reasons

    reasons = asyncio.run(all_of_them())
    assert strategy == "greedy" or {"tokens", "calls"} <= reasons, "the budgets are met"
