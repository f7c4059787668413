"""The driver alone, over a search whose attempts are plain words: order, windows, refusals, budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.budget import Budget, Charge, Lease, Ledger, Spend
from actorcritic.errors import BudgetExhausted, InputError
from actorcritic.exploration import Exploration, Search, out_of_budget, without_means
from actorcritic.search.majority import Majority
from actorcritic.search.policy import Policy
from actorcritic.types import Failure, Outcome, Trial, Usage

LOST = Failure(where="here", type="Lost", message="lost")
Work = Callable[[Trial], Coroutine[None, None, str | Failure]]


@dataclass(slots=True, kw_only=True)
class Words(Search[str]):
    """A search over words that vote by themselves; it writes down what it hears."""

    heard: list[str] = field(default_factory=list[str])

    def outcome_of(self, trial: Trial, attempt: str, tokens: int) -> Outcome:
        return Outcome(vote_key=attempt, tokens=tokens)

    def asked(self, trial: Trial) -> None:
        self.heard.append(f"asked {trial.id}")

    def committed(self, trial: Trial, told: Outcome | Failure | None, spend: Spend) -> None:
        self.heard.append(f"committed {trial.id} {spend.total.calls}")


def words(n: int | None = 5, budget: Budget | None = None, width: int = 1, policy: Policy | None = None) -> Words:
    return Words(policy=policy or Majority(n=n), ledger=Ledger(budget, width=width))


def exploration(search: Words, work: Work, width: int = 1, **wishes: int) -> Exploration[str]:
    async def run(trial: Trial, parent: str | None, lease: Lease) -> str | Failure:
        try:
            lease.admit("m", (), 1)
        except BudgetExhausted as error:
            return without_means(error)
        lease.charge(
            Charge(role="actor", model="m", prompt_ids=(), completion_ids=(), usage=Usage(calls=1), logical_tokens=7)
        )
        return await work(trial)

    return Exploration(search=search, run=run, width=width, **wishes)


def turns(delays: list[int], failing: frozenset[int] = frozenset()) -> Work:
    """Return work that takes as many turns of the loop as it is told."""

    async def work(trial: Trial) -> str | Failure:
        for _ in range(delays[trial.id % len(delays)]):
            await asyncio.sleep(0)
        return LOST if trial.id in failing else "ab"[trial.id % 2]

    return work


async def test_trials_are_settled_in_the_order_of_asking_whatever_their_order_of_coming() -> None:
    search = words(4)
    assert await exploration(search, turns([9, 5, 1, 0]), width=2).explore() == "completed"
    assert [line for line in search.heard if line.startswith("committed")] == [f"committed {i} 1" for i in range(4)]
    assert search.heard[:4] == ["asked 0", "asked 1", "committed 0 1", "asked 2"], "room is made by commits alone"
    assert search.attempts == {0: "a", 1: "b", 2: "a", 3: "b"}


@given(
    delays=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    failing=st.frozensets(st.integers(0, 8)),
    width=st.integers(1, 5),
    tokens=st.integers(7, 80),
    wish=st.sampled_from([None, 7]),
)
@settings(max_examples=60)
def test_timing_changes_nothing_and_no_limit_is_passed(
    delays: list[int], failing: frozenset[int], width: int, tokens: int, wish: int | None
) -> None:
    def run(delays: list[int]) -> tuple[Words, str]:
        search = words(9, Budget(tokens=tokens, calls=6), width)
        wishes = {} if wish is None else {"trial_tokens": wish, "trial_calls": 1}
        return search, asyncio.run(exploration(search, turns(delays, failing), width, **wishes).explore())

    (search, reason), (still, same) = run(delays), run([0])
    assert (search.policy.dump(), search.attempts, reason) == (still.policy.dump(), still.attempts, same)
    assert search.heard == still.heard
    assert search.ledger.spend.total.calls <= 6
    assert search.ledger.spend.total.logical_tokens <= tokens - tokens % 7 + 7


async def test_a_defect_is_raised_as_it_is_and_stops_the_others() -> None:
    stopped: list[int] = []

    async def work(trial: Trial) -> str:
        if trial.id == 1:
            raise ZeroDivisionError("a defect")
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(trial.id)
        return ""

    with pytest.raises(ZeroDivisionError, match="a defect"):
        await exploration(words(), work, width=3).explore()
    assert sorted(stopped) == [0, 2]


async def test_refusals_by_several_trials_are_one_and_different_defects_are_a_group() -> None:
    async def refused(trial: Trial) -> str:
        raise InputError(f"trial {trial.id} cannot work")

    with pytest.raises(InputError, match="cannot work"):
        await exploration(words(), refused, width=3).explore()

    async def defects(trial: Trial) -> str:
        raise (KeyError if trial.id else ValueError)("a defect")

    with pytest.raises(ExceptionGroup):
        await exploration(words(), defects, width=3).explore()


async def test_a_trial_without_means_is_no_failure() -> None:
    search = words(9, Budget(calls=3))
    assert await exploration(search, turns([0]), trial_calls=1).explore() == "calls"
    assert len(search.attempts) == 3 and search.failures == []
    assert out_of_budget(without_means(BudgetExhausted("calls"))) and not out_of_budget(LOST)


async def test_without_an_attempt_it_failed() -> None:
    search = words(3)
    search.failures.append(LOST)
    assert search.reason("completed") == "failed"
    search.attempts[0] = "a"
    assert search.reason("completed") == "completed"


async def test_under_a_limit_of_calls_a_known_share_lets_trials_run_side_by_side() -> None:
    for wish, peak in (({}, 1), ({"trial_calls": 1}, 3)):
        running, most = 0, 0

        async def work(trial: Trial) -> str:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            running -= 1
            return "a"

        await exploration(words(9, Budget(calls=9), 3), work, 3, **wish).explore()
        assert most == peak
