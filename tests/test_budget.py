"""The account of a problem: prefix sharing, leases, and never a token over."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.budget import Budget, Charge, Lease, Ledger, Price, Spend, Steps
from actorcritic.errors import BudgetExhausted, InputError
from actorcritic.types import Usage


def charge(prompt: tuple[int, ...], completion: tuple[int, ...], model: str = "m") -> Charge:
    usage = Usage(calls=1, prompt_tokens=len(prompt), completion_tokens=len(completion))
    return Charge(role="actor", model=model, prompt_ids=prompt, completion_ids=completion, usage=usage)


def take(ledger: Ledger, trial: int, *, tokens: int | None = None, calls: int | None = None) -> Lease:
    lease = ledger.lease(trial, tokens=tokens, calls=calls)
    assert lease is not None
    return lease


def test_a_shared_prefix_is_charged_once() -> None:
    ledger = Ledger()
    first = take(ledger, 0)
    first.charge(charge((1, 2, 3), (4, 5)))
    assert ledger.commit(0).total.logical_tokens == 5
    second = take(ledger, 1)
    second.charge(charge((1, 2, 3), (9,)))  # a sibling: only its completion is new
    second.charge(charge((1, 2, 3, 9, 7), (8,)))  # a critique of it: 7 and 8 are new
    assert ledger.commit(1).total.logical_tokens == 3
    assert ledger.spend.total.logical_tokens == 8


def test_another_model_shares_nothing() -> None:
    ledger = Ledger()
    lease = take(ledger, 0)
    lease.charge(charge((1, 2), (3,), model="actor"))
    lease.charge(charge((1, 2, 3), (4,), model="critic"))
    assert ledger.commit(0).total.logical_tokens == 3 + 4


def test_a_lease_sees_the_tree_of_its_own_time() -> None:
    ledger = Ledger(Budget(tokens=100), width=2)
    early, late = take(ledger, 0, tokens=20), take(ledger, 1, tokens=20)
    early.charge(charge((1, 2, 3), (4,)))
    ledger.commit(0)
    assert late.new_tokens("m", (1, 2, 3)) == 3  # whether trial 0 was quick changes nothing for trial 1
    late.charge(charge((1, 2, 3), (5,)))
    assert ledger.commit(1).total.logical_tokens == 1  # but the bill is settled against the tree as it stands


def test_completion_is_cut_to_what_is_left() -> None:
    lease = take(Ledger(Budget(tokens=10)), 0)
    assert lease.admit("m", (1, 2, 3), 50).max_tokens == 7
    lease.charge(charge((1, 2, 3), (4, 5, 6)))
    assert lease.admit("m", (1, 2, 3, 4, 5), 50).max_tokens == 4  # the prompt is known
    with pytest.raises(BudgetExhausted) as caught:
        lease.admit("m", (9, 9, 9, 9), 1)
    assert caught.value.limit == "tokens"


def test_calls_run_out() -> None:
    lease = take(Ledger(Budget(calls=1)), 0)
    lease.charge(charge((1,), (2,)))
    with pytest.raises(BudgetExhausted, match="calls"):
        lease.admit("m", (1,), 1)


def test_a_starved_trial_waits_for_a_commit() -> None:
    ledger = Ledger(Budget(tokens=30), width=2)
    assert take(ledger, 0, tokens=20).tokens == 20
    assert ledger.lease(1, tokens=20) is None
    ledger.commit(0)
    assert take(ledger, 1, tokens=20).tokens == 20


def test_what_is_left_is_shared_by_those_that_may_run_side_by_side() -> None:
    ledger = Ledger(Budget(tokens=400), width=4)
    assert [take(ledger, trial, tokens=20).tokens for trial in range(4)] == [100, 100, 100, 100]
    assert take(Ledger(Budget(tokens=400)), 0, tokens=20).tokens == 400


def test_without_a_limit_a_lease_has_none() -> None:
    lease = take(Ledger(width=4), 0, tokens=20)
    assert lease.tokens is None


def test_the_last_trial_gets_what_is_left_and_then_nothing() -> None:
    ledger = Ledger(Budget(tokens=5))
    lease = take(ledger, 0, tokens=20)
    assert lease.tokens == 5
    lease.charge(charge((1, 2), (3, 4, 5)))
    ledger.commit(0)
    with pytest.raises(BudgetExhausted, match="tokens"):
        ledger.lease(1, tokens=20)


@pytest.mark.parametrize("name", ["tokens", "calls", "steps", "seconds", "money"])
def test_a_limit_that_allows_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"budget of {name}"):
        Budget(**{name: 0})


@settings(max_examples=1000)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 5), st.integers(1, 30))
def test_never_over_budget_in_any_schedule(seed: int, tokens: int, width: int, wish: int) -> None:
    """Trials start, call and end in a random order; commits come in trial order."""
    rng = random.Random(seed)
    ledger = Ledger(Budget(tokens=tokens, calls=12), width=width)
    running: dict[int, Lease] = {}
    asked = committed = 0
    for _ in range(200):
        try:
            lease = ledger.lease(asked, tokens=wish, calls=2) if len(running) < width else None
        except BudgetExhausted:
            break
        if lease is not None:
            running[asked], asked = lease, asked + 1
        for lease in rng.sample(list(running.values()), k=rng.randint(0, len(running))):
            prompt = tuple(rng.randint(0, 1) for _ in range(rng.randint(1, 6)))
            try:
                grant = lease.admit("m", prompt, rng.randint(1, 8))
            except BudgetExhausted:
                continue
            lease.charge(charge(prompt, tuple(rng.randint(0, 1) for _ in range(grant.max_tokens))))
        if running and rng.random() < 0.5:
            spent = running.pop(committed).spent.total.logical_tokens
            assert ledger.commit(committed).total.logical_tokens <= spent
            committed += 1
        total = ledger.spend.total
        assert total.logical_tokens + sum(lease.spent.total.logical_tokens for lease in running.values()) <= tokens
        assert total.calls + sum(lease.spent.total.calls for lease in running.values()) <= 12


def test_a_call_is_cut_to_what_the_money_pays_for() -> None:
    price = Price(prompt=1e6, completion=2e6)
    lease = take(Ledger(Budget(money=10.0)), 0)
    assert lease.admit("m", (1, 2, 3), 50, price).max_tokens == 3
    assert lease.admit("m", (1, 2, 3), 50).max_tokens == 50, "a model without a price costs nothing"
    lease.charge(replace(charge((1, 2, 3), (4, 5, 6)), money=9.0))
    with pytest.raises(BudgetExhausted, match="money"):
        lease.admit("m", (1, 2), 50, price)


@given(
    st.floats(0, 50),
    st.floats(0, 50),
    st.none() | st.floats(0, 50),
    st.integers(0, 4000),
    st.integers(0, 4000),
    st.floats(1e-6, 1.0),
)
def test_what_is_affordable_never_costs_more(
    prompt: float, completion: float, cached: float | None, tokens: int, reused: int, money: float
) -> None:
    price = Price(prompt=prompt, completion=completion, cached=cached)
    count = price.affordable(tokens, money)
    if 0 < count < 2**62:
        usage = Usage(calls=1, prompt_tokens=tokens, cached_tokens=min(reused, tokens), completion_tokens=count)
        assert price.of(usage) <= money * (1 + 1e-9)
        more = Usage(calls=1, prompt_tokens=tokens, completion_tokens=count + 1)
        assert max(price.of(more), price.of(replace(more, cached_tokens=tokens))) >= money * (1 - 1e-9)


def test_with_a_price_of_tokens_trials_share_the_money() -> None:
    ledger = Ledger(Budget(money=8.0), width=2, token_price=0.1)
    assert [take(ledger, trial, tokens=20).money for trial in range(2)] == [4.0, 4.0]
    unknown = Ledger(Budget(money=8.0), width=2)
    assert take(unknown, 0, tokens=20).money == 8.0
    assert unknown.lease(1, tokens=20) is None, "without a price trials run in turn"


# --- steps in environments -----------------------------------------------------------------------------------------


def test_steps_are_shared_out_like_calls_and_given_back() -> None:
    ledger = Ledger(Budget(steps=10), width=2)
    first, second = ledger.lease(0, steps=3), ledger.lease(1, steps=3)
    assert first is not None and second is not None and (first.steps, second.steps) == (5, 5)
    assert ledger.lease(2, steps=3) is None, "a trial that cannot finish waits for what others give back"
    for _ in range(2):
        first.admit_step()
        first.charge_step(replayed=4)
    assert ledger.commit(0).steps == Steps(taken=2, replayed=8)
    third = ledger.lease(2, steps=3)
    assert third is not None and third.steps == 3


def test_no_step_is_taken_beyond_the_lease_nor_a_lease_beyond_the_budget() -> None:
    ledger = Ledger(Budget(steps=2))
    lease = take(ledger, 0)
    for _ in range(2):
        lease.admit_step()
        lease.charge_step()
    with pytest.raises(BudgetExhausted, match="steps"):
        lease.admit_step()
    ledger.commit(0)
    assert ledger.spent_limit() == "steps" and ledger.left().steps == 0
    with pytest.raises(BudgetExhausted, match="steps"):
        ledger.lease(1)


def test_a_spend_without_environments_has_no_steps() -> None:
    assert Spend().plus(Spend()).steps is None and Spend().add("actor", Usage(calls=1)).steps is None
    both = Spend().add_steps(1, 2).plus(Spend().add_steps(3, 4)).add("actor", Usage(calls=1))
    assert both.steps == Steps(taken=4, replayed=6)
