from __future__ import annotations

import pytest

from actorcritic.errors import InputError, RecordError
from actorcritic.search.strategies import (
    STRATEGIES,
    StrategySpec,
    load_policy,
    make_policy,
    needs_critic,
    needs_oracle,
    parse_strategy,
)
from actorcritic.types import JsonValue
from tests.search.simulation import Driver, Random


def test_the_text_form_is_read_and_written() -> None:
    spec = parse_strategy(" best-of-n: score = logprob , n=8,temperature=none ")
    assert spec == StrategySpec(name="best-of-n", options={"score": "logprob", "n": 8, "temperature": None})
    assert str(spec) == "best-of-n:score=logprob,n=8,temperature=none"
    assert parse_strategy(str(spec)) == spec
    assert str(parse_strategy("greedy:")) == "greedy"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "unknown strategy ''"),
        ("bestofn", "choose from: greedy, best-of-n"),
        ("greedy:n=1", "greedy has no option 'n'; it has none"),
        ("revise:locat=critic", "choose from: locate, sure, max_revisions"),
        ("revise:locate=anywhere", "critic | least-confident"),
        ("revise:locate", "needs a value: critic | least-confident"),
        ("majority:n=8,n=9", "given twice"),
        ("majority:n=0", "a whole number >= 1 | none"),
        ("majority:n=2.5", "a whole number >= 1 | none"),
        ("majority:temperature=nan", "a number >= 0 | none"),
        ("majority:temperature=inf", "a number >= 0 | none"),
        ("revise:accept=1.1", "a number >= 0 and <= 1"),
        ("refine:gate=none", "critic | always | oracle"),
        ("refine:max_rounds=none", "a whole number >= 0"),
    ],
)
def test_a_mistake_is_answered_in_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_strategy(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "options", [{"n": True}, {"n": "8"}, {"n": 1.5}, {"score": "guess"}, {"m": 1}, {"score": None}]
)
def test_values_from_a_program_are_checked_too(options: dict[str, bool | str | float | None]) -> None:
    with pytest.raises(InputError):
        make_policy(StrategySpec(name="best-of-n", options=options))
    with pytest.raises(InputError, match="choose from"):
        make_policy(StrategySpec(name="worst-of-n"))


def test_a_budget_takes_the_place_of_the_default_count() -> None:
    world = Random(right=0.0)
    free = Driver(world, trials=30).run(make_policy(parse_strategy("majority")))
    budgeted = Driver(world, trials=30).run(make_policy(parse_strategy("majority"), budgeted=True))
    both = Driver(world, trials=30).run(make_policy(parse_strategy("majority:n=5"), budgeted=True))
    assert [len(policy.tree) for policy in (free, budgeted, both)] == [8, 30, 5]
    assert [policy.stopped for policy in (free, budgeted, both)] == ["completed", None, "completed"]


@pytest.mark.parametrize(
    ("text", "critic"),
    [
        ("greedy", False),
        ("majority", False),
        ("best-of-n", True),
        ("best-of-n:score=logprob", False),
        ("revise", True),
        ("revise:locate=least-confident", False),
        ("refine", True),
    ],
)
def test_who_needs_a_critic(text: str, critic: bool) -> None:
    assert needs_critic(parse_strategy(text)) is critic
    assert needs_oracle(parse_strategy(text)) is False


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_state_finds_its_policy(name: str) -> None:
    policy = make_policy(parse_strategy(name), seed=4)
    policy.ask(2)
    again = load_policy(policy.dump())
    assert (type(again), again.dump()) == (type(policy), policy.dump())
    states: list[dict[str, JsonValue]] = [{}, {"policy": None}, {"policy": "unheard-of"}]
    for state in states:
        with pytest.raises(RecordError, match="no strategy"):
            load_policy(state)


def test_every_policy_is_registered_under_its_name() -> None:
    assert all(policy.NAME == name for name, policy in STRATEGIES.items())
    assert all(option.help for policy in STRATEGIES.values() for option in policy.OPTIONS)
