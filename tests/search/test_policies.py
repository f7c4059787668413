"""What holds for every policy and every option, whatever comes back and in whatever order."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.errors import InputError, RecordError
from actorcritic.search.base import FAILURES_IN_ROW, TreePolicy
from actorcritic.search.options import Option
from actorcritic.search.strategies import STRATEGIES, StrategySpec, make_policy, parse_strategy
from actorcritic.search.tree import Status
from actorcritic.types import Action, Failure, Outcome, Trial
from tests.search.simulation import BROKEN, Driver, Random

COMBINED = [
    "particle:gibbs_rounds=3",
    "particle:score=reward-model,aggregate=last,answer=vote",
    "beam:score=reward-model,stop_at=0.9",
    "mcts:nodes=step,leaf=rollout,score=verifier",
    "mcts:nodes=step,score=logprob",
    "ab-mcts:score=reward-model,aggregate=product",
    "mcts:nodes=step,leaf=rollout",
    "mcts:pw_alpha=0.5,alpha=0.3,expand=2",
    "mcts:nodes=step,max_depth=2,virtual_loss=0",
    "beam:lookahead=2,iterations=3,beam_width=2,answer=vote",
    "mcts:locate=least-confident,gate=always",
    "ab-mcts:deeper=revise,locate=least-confident,gate=always,virtual_loss=1",
    "auto:gate=always,easy=refine",
]
"""Options that only matter together."""


def variants() -> list[str]:
    """Return every strategy with its defaults, and once with each value of each choice and flag."""
    texts: list[str] = []
    for name, policy in STRATEGIES.items():
        texts.append(name)
        for option in policy.OPTIONS:
            values = option.choices[1:] if option.kind == "choice" else ("true",) if option.kind == "flag" else ()
            texts += [f"{name}:{option.name}={value}" for value in values]
    return texts + COMBINED


every = pytest.mark.parametrize("text", variants())
worlds = st.builds(
    Random,
    seed=st.integers(0, 10**6),
    right=st.sampled_from([0.0, 0.05, 0.5]),
    broken=st.sampled_from([0.0, 0.3]),
    unscored=st.sampled_from([0.0, 0.4, 1.0]),
)
few = settings(max_examples=6, deadline=None)


def policy_of(text: str, *, seed: int = 7, budgeted: bool = True) -> TreePolicy:
    return make_policy(parse_strategy(text), seed=seed, budgeted=budgeted)


@every
@few
@given(world=worlds, width=st.integers(1, 5), data=st.data())
def test_timing_changes_nothing(text: str, world: Random, width: int, data: st.DataObject) -> None:
    """Results may come back in any order; told in trial order within the window, they grow one tree."""
    plain = Driver(world, width=width, trials=40).run(policy_of(text))
    policy, window, results = policy_of(text), list[Trial](), dict[int, Outcome | Failure]()
    while True:
        room = min(width - len(window), 40 - len(policy.tree))
        window += policy.ask(room) if room > 0 else ()
        if not window:
            break
        running = [trial for trial in window if trial.id not in results]
        if running and (window[0].id not in results or data.draw(st.booleans())):
            trial = data.draw(st.sampled_from(running))
            results[trial.id] = world(policy, trial)
            continue
        trial = window.pop(0)
        if trial.id not in policy.cancelled():
            deliver(policy, trial, results[trial.id])
    assert policy.dump() == plain.dump()


def deliver(policy: TreePolicy, trial: Trial, result: Outcome | Failure) -> None:
    if isinstance(result, Failure):
        policy.fail(trial.id, result)
    else:
        policy.tell(trial.id, result)


@every
@few
@given(world=worlds, order=st.randoms(use_true_random=False))
def test_any_order_of_tells_is_taken(text: str, world: Random, order: random.Random) -> None:
    policy = policy_of(text)
    waiting: list[Trial] = []
    for _ in range(30):
        waiting += policy.ask(order.randrange(4))
        order.shuffle(waiting)
        if waiting:
            trial = waiting.pop()
            deliver(policy, trial, world(policy, trial))
    check_bookkeeping(policy)


def check_bookkeeping(policy: TreePolicy) -> None:
    """Check what must hold of any tree at any time."""
    tree = policy.tree
    assert [node.id for node in tree] == list(range(len(tree)))
    for node in tree:
        assert (node.outcome is not None) == (node.status is Status.DONE)
        assert (node.failure is not None) == (node.status is Status.FAILED)
        assert (node.parent is None) == (node.trial.action is Action.PROPOSE)
        assert node.id in tree.children(node.parent)
        if node.parent is not None:
            assert node.parent < node.id
            assert tree[node.parent].status is Status.DONE, "only what came back can be worked on"
    done = [node.id for node in tree if node.status is Status.DONE]
    assert (policy.best is None) == (not done)
    assert policy.best is None or policy.best in done
    assert set(policy.cancelled()) == {node.id for node in tree if node.status is Status.CANCELLED}
    if policy.stopped is not None:
        assert policy.ask(3) == ()
        assert all(node.status is not Status.ASKED for node in tree)


@every
@few
@given(world=worlds, width=st.integers(1, 5), cut=st.integers(0, 60))
def test_state_goes_through_json_at_any_point(text: str, world: Random, width: int, cut: int) -> None:
    plain = Driver(world, width=width, trials=40).run(policy_of(text))
    policy = policy_of(text)
    window: list[Trial] = []
    for _ in range(cut):
        room = min(width - len(window), 40 - len(policy.tree))
        window += policy.ask(room) if room > 0 else ()
        if window:
            Driver(world).settle(policy, window.pop(0))
    state = json.loads(json.dumps(policy.dump(), allow_nan=False))
    copy = type(policy).load(state)
    assert copy.dump() == policy.dump()
    assert (copy.best, copy.stopped, copy.cancelled()) == (policy.best, policy.stopped, policy.cancelled())
    check_bookkeeping(copy)
    finished = Driver(world, width=width, trials=40)
    # The window is refilled exactly as the unbroken run would have.
    assert finished.run(copy).dump() == plain.dump()


@every
@few
@given(world=worlds, k=st.integers(1, 6))
def test_ask_k_is_k_times_ask_and_an_empty_ask_changes_nothing(text: str, world: Random, k: int) -> None:
    one, many = policy_of(text), policy_of(text)
    for _ in range(12):
        trials = many.ask(k)
        singles = [trial for _ in range(k) for trial in one.ask()]
        assert list(trials) == singles
        if len(trials) < k and many.stopped is None:
            before = many.dump()
            assert many.ask() == ()
            assert many.dump() == before
        for trial in trials:
            if trial.id not in many.cancelled():
                deliver(many, trial, world(many, trial))
                deliver(one, trial, world(one, trial))
        assert one.dump() == many.dump()


@every
@few
@given(world=worlds)
def test_telling_twice_is_a_no_op(text: str, world: Random) -> None:
    policy = policy_of(text)
    for _ in range(10):
        for trial in policy.ask(2):
            result = world(policy, trial)
            deliver(policy, trial, result)
            before = policy.dump()
            policy.tell(trial.id, Outcome(score=1.0))
            policy.fail(trial.id, BROKEN)
            deliver(policy, trial, result)
            assert policy.dump() == before


@every
def test_an_unknown_trial_is_refused(text: str) -> None:
    policy = policy_of(text)
    policy.ask()
    before = policy.dump()
    for trial in (-1, 1, 99):
        with pytest.raises(InputError, match="never asked"):
            policy.tell(trial, Outcome())
        with pytest.raises(InputError, match="never asked"):
            policy.fail(trial, BROKEN)
    assert policy.dump() == before


@every
@pytest.mark.parametrize(
    "bad",
    [
        Outcome(score=1.01),
        Outcome(score=-0.1),
        Outcome(score=math.nan),
        Outcome(logprob=-math.inf),
        Outcome(logprob=math.nan),
        Outcome(first_error=-1),
        Outcome(least_confident=-1),
    ],
)
def test_a_bad_number_is_refused_before_any_harm(text: str, bad: Outcome) -> None:
    policy = policy_of(text)
    (trial,) = policy.ask()
    before = policy.dump()
    with pytest.raises(InputError):
        policy.tell(trial.id, bad)
    assert policy.dump() == before
    policy.tell(trial.id, Outcome(score=1.0))
    assert policy.tree[trial.id].status is Status.DONE


@every
def test_it_never_waits_for_nothing(text: str) -> None:
    """With nothing in flight and no reason to stop, there is something to try."""
    for seed in range(8):
        world = Random(seed=seed, right=0.05, broken=0.2, unscored=0.3)
        policy = policy_of(text, seed=seed)
        for _ in range(60):
            trials = policy.ask()
            assert trials or policy.stopped is not None
            for trial in trials:
                deliver(policy, trial, world(policy, trial))


@every
def test_a_count_ends_it_and_one_failure_costs_one_result(text: str) -> None:
    policy = policy_of(text, budgeted=False)
    fails = iter([True])
    world = Random(right=0.0, broken=0.0, unscored=0.0)
    driver = Driver(lambda p, t: BROKEN if next(fails, False) else world(p, t), width=2)
    driver.run(policy)
    if policy.NAME == "greedy":
        assert policy.stopped == "failed"
        assert policy.best is None
    else:
        assert policy.stopped is not None
        assert policy.best is not None
        assert sum(node.status is Status.FAILED for node in policy.tree) == 1
        assert sum(node.status is Status.DONE for node in policy.tree) == len(policy.tree) - 1


@every
def test_a_dead_model_ends_it(text: str) -> None:
    policy = policy_of(text)
    Driver(lambda *_: BROKEN, width=4).run(policy)
    assert policy.stopped == "failed"
    assert policy.best is None
    assert len(policy.tree) <= FAILURES_IN_ROW + 3
    check_bookkeeping(policy)


@every
def test_seeds_alone_decide(text: str) -> None:
    world = Random(right=0.0)
    first, second = (Driver(world, width=3, trials=60).run(policy_of(text)) for _ in range(2))
    assert first.dump() == second.dump()


@every
def test_another_policy_s_state_is_refused(text: str) -> None:
    policy = policy_of(text)
    with pytest.raises(RecordError, match="not of"):
        type(policy).load({**policy.dump(), "policy": "another"})


def option_cases() -> list[tuple[str, Option]]:
    return [(name, option) for name, policy in STRATEGIES.items() for option in policy.OPTIONS]


OTHER: dict[str, str] = {
    "temperature": "0.3",
    "filtered-vote accept": "0.9",
    "auto threshold": "0.9",
    "stop_at": "0",
    "iterations": "2",
    "searches": "1",
    "beam_width": "2",
    "beam n": "8",
    "dvts n": "16",
    "max_depth": "1",
    "pw_alpha": "0.5",
}
"""A telling value for options whose default cannot simply be moved; by name, or by strategy and name."""


CONTEXT = {
    "mcts c_uct": "selection=uct",
    "mcts c_exp": "selection=agent-q",
    "mcts pw_c": "pw_alpha=0.7",
    "mcts leaf": "nodes=step",
    "mcts rank": "alpha=0,score=logprob",
    "ab-mcts locate": "deeper=revise",
    "ab-mcts sure": "deeper=revise",
    "ab-mcts beta_a": "posterior=beta",
    "ab-mcts beta_b": "posterior=beta",
    "auto hard": "threshold=0.9",
    "auto gate": "threshold=0.9",
}
"""What an option needs beside it in order to matter."""


def other_values(name: str, option: Option) -> tuple[str, ...]:
    """Return values other than the default."""
    if option.kind == "choice":
        return option.choices[1:]
    if option.kind == "flag":
        return ("true",)
    telling = OTHER.get(f"{name} {option.name}", OTHER.get(option.name))
    if telling is not None:
        return (telling,)
    if option.kind == "integer":
        default = option.default
        return (str(default + 1 if isinstance(default, int) else 3),)
    assert isinstance(option.default, float)
    moved = option.default / 2 if option.default else 0.5
    return (f"{min(max(moved, option.low), option.high):g}",)


@pytest.mark.parametrize(("name", "option"), option_cases(), ids=lambda value: getattr(value, "name", value))
def test_every_option_does_something(name: str, option: Option) -> None:
    for value in other_values(name, option):
        context = CONTEXT.get(f"{name} {option.name}", "")
        plain, changed = (histories(f"{name}:{context},{more}") for more in ("", f"{option.name}={value}"))
        assert plain != changed, f"{option.name}={value} changes nothing"


def histories(text: str) -> list[object]:
    """Return all that a caller can see of a strategy, over several worlds."""
    seen: list[object] = []
    for seed in range(12):
        world = Random(seed=seed, right=0.15, unscored=0.2)
        policy = policy_of(text)
        driver = Driver(world, width=2, trials=40)
        driver.run(policy)
        seen.append((driver.asked, policy.best, policy.stopped, sorted(driver.unwanted)))
    return seen


@pytest.mark.parametrize(("name", "option"), option_cases(), ids=lambda value: getattr(value, "name", value))
def test_bad_values_are_refused_with_the_choices(name: str, option: Option) -> None:
    with pytest.raises(InputError) as refused:
        parse_strategy(f"{name}:{option.name}=nonsense")
    message = str(refused.value)
    assert "\n" not in message
    assert option.name in message
    for word in option.choices:
        assert word in message
    spec = StrategySpec(name=name, options={option.name: "nonsense"})
    with pytest.raises(InputError):
        make_policy(spec)


def test_incomplete_loses_to_complete_and_unscored_to_scored() -> None:
    best = Outcome(score=0.1, vote_key="a")
    for text in ("best-of-n", "revise", "refine"):
        policy = policy_of(text)
        policy.ask(4)
        policy.tell(0, replace(best, complete=False, score=0.9))
        assert policy.best == 0, "an incomplete solution is above nothing"
        policy.tell(1, Outcome())
        assert policy.best == 1, "a complete one, though unscored, beats it"
        policy.tell(2, best)
        assert policy.best == 2
        policy.tell(3, best)
        assert policy.best == 2, "a tie goes to the earlier"
