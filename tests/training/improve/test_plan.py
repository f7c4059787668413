"""Which stages a run has, in which order, and whose model explores: the last one that was no worse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.training.improve.plan import (
    BASE,
    METHODS,
    Players,
    Stage,
    candidates,
    finals,
    measured,
    parse_methods,
    plan_stages,
    players,
    predecessor,
)

ALL = tuple(METHODS)


def stage(method: str, number: int, kind: str = "evaluate", seed: int = 0) -> Stage:
    return Stage(kind=kind, method=method, round=number, seed=seed)  # type: ignore[arg-type]


def test_the_base_comes_first_and_its_samples_are_everybodys_original_data() -> None:
    plan = [each.name for each in plan_stages(("sft", "vanilla"), 1, (3,))]
    assert plan == [
        "base/round-0/seed-3/difficulty",
        "base/round-0/seed-3/evaluate",
        "base/round-0/seed-3/samples",
        "base/round-0/seed-3/critiques",
        "base/round-0/seed-3/refinements",
        "sft/round-0/seed-3/data",
        "sft/round-0/seed-3/train",
        "sft/round-0/seed-3/evaluate",
        "vanilla/round-1/seed-3/samples",
        "vanilla/round-1/seed-3/data",
        "vanilla/round-1/seed-3/train",
        "vanilla/round-1/seed-3/evaluate",
    ]


@given(st.sets(st.sampled_from(ALL), min_size=1), st.integers(1, 4), st.sets(st.integers(0, 9), min_size=1))
def test_only_the_last_round_is_done_with_every_seed(methods: set[str], rounds: int, seeds: set[int]) -> None:
    chosen = parse_methods(",".join(methods))
    order = sorted(seeds)
    plan = plan_stages(chosen, rounds, order)
    assert len({each.name for each in plan}) == len(plan), "every stage has a folder of its own"
    last = finals(plan)
    for method in chosen:
        assert last[method] == (0 if method == "sft" else rounds)
        for number in range(last[method] + 1):
            found = [each.seed for each in measured(plan) if (each.method, each.round) == (method, number)]
            assert found == (order if number == last[method] else order[:1] if number else [])
    # What a stage reads is done before it.
    done: set[str] = set()
    for each in plan:
        if each.kind in ("train", "evaluate") and each.method != BASE:
            assert each.other("data").name in done
        done.add(each.name)


def test_critiques_are_asked_for_where_they_are_learnt_from() -> None:
    kinds = {(each.method, each.kind) for each in plan_stages(ALL, 1, (0,))}
    assert ("vanilla", "critiques") not in kinds and ("sft", "samples") not in kinds
    assert {("critique", "critiques"), ("critique", "refinements"), ("critic", "refinements")} <= kinds


def test_a_round_explores_with_the_last_model_that_was_promoted() -> None:
    third = stage("critique", 3, "samples")
    assert players(third, {}, 0) == Players()
    promoted = {stage("sft", 0).name: True, stage("critique", 1).name: True, stage("critique", 2).name: False}
    assert players(third, promoted, 0) == Players(actor=stage("critique", 1, "train"))
    assert players(third, {**promoted, stage("critique", 2).name: True}, 0).actor == stage("critique", 2, "train")
    assert players(third, {**promoted, stage("critique", 1).name: False}, 0).actor == stage("sft", 0, "train")
    assert players(stage("vanilla", 3), promoted, 0).actor == stage("sft", 0, "train"), "each method for itself"
    assert predecessor(third, promoted, 0) == stage("critique", 1)
    assert predecessor(stage("vanilla", 1), {}, 0) == stage(BASE, 0)
    assert predecessor(stage(BASE, 0), promoted, 0) is None


def test_the_critic_learns_while_the_actor_stays() -> None:
    promoted = {stage("sft", 0).name: True, stage("critic", 1).name: True}
    second = stage("critic", 2)
    assert players(second, promoted, 0) == Players(actor=stage("sft", 0, "train"), critic=stage("critic", 1, "train"))
    assert candidates(second, promoted, 0).critic == stage("critic", 2, "train")
    assert predecessor(second, promoted, 0) == stage("critic", 1)
    assert predecessor(stage("critic", 1), promoted, 0) == stage("sft", 0)


def test_an_evaluation_is_of_the_rounds_own_model() -> None:
    assert candidates(stage(BASE, 0), {}, 0) == Players()
    assert candidates(stage("sft", 0), {}, 0) == Players(actor=stage("sft", 0, "train"))
    assert candidates(stage("vanilla", 2, seed=5), {}, 0).actor == stage("vanilla", 2, "train", seed=5)


@pytest.mark.parametrize("text", ["", "moon", "sft,sft", "sft,base"])
def test_methods_are_named_once(text: str) -> None:
    with pytest.raises(InputError, match="choose from: sft, vanilla, critique, critic"):
        parse_methods(text)
    assert parse_methods("critique, sft") == ("sft", "critique")
