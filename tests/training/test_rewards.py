"""The published rewards, as the tables of their papers give them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.training.rewards import (
    REFINEMENTS,
    RefinementReward,
    agrees,
    boxed_rewards,
    conclusion,
    conclusion_rewards,
    discrimination_rewards,
    dual_rewards,
    group_baseline,
    refinement_rewards,
    turn_rewards,
)
from actorcritic.types import Verdict

RIGHT, WRONG, NONE = Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNSCORED


# --- CRL -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("It fails on an empty list.\nConclusion: False", WRONG),
        ("Conclusion: False\nNo, I see now.\nConclusion: True", RIGHT),
        ("**Conclusion:** True", RIGHT),
        ("The solution is right.", NONE),
        ("Conclusion: maybe", NONE),
        ("Conclusion: False\nConclusion: unclear", NONE),
        ("", NONE),
    ],
)
def test_the_last_conclusion_counts(text: str, verdict: Verdict) -> None:
    assert conclusion(text) is verdict


def test_a_judgement_is_worth_its_agreement_and_a_question_nothing() -> None:
    verdicts = [conclusion("Conclusion: True"), conclusion("Conclusion: True"), conclusion("no marker"), None]
    assert conclusion_rewards(verdicts, ["False", "True", "False", ""]) == [0.0, 1.0, 0.0, None]


def test_a_judgement_without_a_label_is_refused() -> None:
    with pytest.raises(InputError, match="must be 'True' or 'False'"):
        conclusion_rewards([RIGHT], [""])


def test_the_boxed_step_is_the_label_or_not() -> None:
    texts = ["First \\boxed{1}.\n**Answer**: \\boxed{2}", "\\boxed{-1}", "\\boxed{2}", "", "step 2"]
    assert boxed_rewards(texts, [2, -1, 1, 2, 2]) == [1, 1, 0, 0, 0]


# --- Critique-RL ---------------------------------------------------------------------------------------------------


def test_stage_1_is_plus_or_minus_one() -> None:
    verdicts = [RIGHT, RIGHT, WRONG, WRONG, NONE, NONE]
    assert discrimination_rewards(verdicts, [True, False, True, False, True, False]) == [1, -1, -1, 1, -1, -1]


STAGE_2: dict[RefinementReward, list[float]] = {
    # In the order (right, right), (right, wrong), (wrong, right), (wrong, wrong) of attempt and refinement.
    "refine": [1.2, 0.2, 1.2, 0.2],
    "delta": [0.2, -0.8, 1.2, 0.2],
    "correct": [0.4, 0.2, 1.2, 0.2],
}


@pytest.mark.parametrize("kind", REFINEMENTS)
def test_stage_2_is_the_refinement_behind_the_gate_of_the_verdict(kind: RefinementReward) -> None:
    table = list(product([True, False], repeat=2))
    agreeing = [RIGHT if before else WRONG for before, _ in table]
    contradicting = [WRONG if before else RIGHT for before, _ in table]
    before, after = [one for one, _ in table], [two for _, two in table]
    assert refinement_rewards(agreeing, before, after, kind=kind) == pytest.approx(STAGE_2[kind])
    assert refinement_rewards(contradicting, before, after, kind=kind) == [-1] * 4
    assert refinement_rewards([NONE] * 4, before, after, kind=kind) == [-1] * 4


def test_a_refinement_that_failed_scores_nothing_but_for_a_refused_verdict() -> None:
    assert refinement_rewards([WRONG, RIGHT], [False, False], [None, None]) == [None, -1.0]


# --- RefCritic -----------------------------------------------------------------------------------------------------


def test_refinements_count_for_wrong_attempts_called_wrong_alone() -> None:
    verdicts = [WRONG, WRONG, RIGHT, RIGHT, WRONG, NONE]
    correct = [False, False, False, True, True, False]
    refined = [[True, True, False, True], [False, False], [True], [True], [True], [True]]
    assert dual_rewards(verdicts, correct, refined) == [0.875, 0.5, 0.0, 1.0, 0.0, 0.0]
    assert dual_rewards(verdicts, correct, refined, weight=0.5)[0] == 1.375 / 1.5
    assert dual_rewards(verdicts[:1], correct[:1], refined[:1], weight=0.0) == [1.0]


def test_acceptance() -> None:
    """Section 3: right verdicts with useless text (A) and with text that mends 3 in 4 (B); lambda = 1."""
    useless, useful = [False] * 4, [True, True, True, False]
    a, b = dual_rewards([WRONG, WRONG], [False, False], [useless, useful], weight=1.0)
    assert a is not None and b is not None and b - a == 0.375
    assert dual_rewards([RIGHT, RIGHT], [True, True], [useless, useful], weight=1.0) == [1.0, 1.0]


@given(
    st.lists(st.tuples(st.sampled_from(list(Verdict)), st.booleans(), st.lists(st.booleans(), min_size=1))),
    st.floats(0, 100),
)
def test_the_sum_of_both_parts_is_normalised(rows: list[tuple[Verdict, bool, list[bool]]], weight: float) -> None:
    verdicts, correct, refined = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    assert all(
        reward is not None and 0 <= reward <= 1 for reward in dual_rewards(verdicts, correct, refined, weight=weight)
    )


def test_the_order_of_the_four_kinds_of_critiques() -> None:
    """Right and useful before right and useless before a wrong verdict with a lucky refinement, no better than none."""
    rewards = dual_rewards([WRONG, WRONG, RIGHT, NONE], [False] * 4, [[True], [False], [True], [True]])
    useful, useless, lucky, silent = [0.0 if reward is None else reward for reward in rewards]
    assert useful > useless > lucky >= silent


def test_no_known_refinement_is_no_reward() -> None:
    assert dual_rewards([WRONG, WRONG, RIGHT], [False, False, True], [None, [], None]) == [None, None, 1.0]


# --- SCoRe ---------------------------------------------------------------------------------------------------------


def test_the_second_turn_is_worth_its_progress() -> None:
    first, second = [0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]
    assert turn_rewards(first, second, stage=2, alpha=10.0) == ([0, 1, 1, 0], [11, -10, 1, 0])
    assert turn_rewards(first, second, stage=1) == ([0, 0, 0, 0], [1, 0, 1, 0])


def test_the_baseline_is_the_mean_of_each_group() -> None:
    assert group_baseline([0, 0, 0, 1, 5, 5, 5, 5], 4) == [-0.25, -0.25, -0.25, 0.75, 0, 0, 0, 0]
    with pytest.raises(InputError, match="no groups of 4"):
        group_baseline([1.0, 2.0], 4)


# --- what holds of all of them -------------------------------------------------------------------------------------

ROW = st.tuples(st.sampled_from(list(Verdict)), st.booleans(), st.booleans())


@given(st.lists(ROW), st.sampled_from(REFINEMENTS))
def test_agreeing_is_never_worth_less_than_contradicting(
    rows: list[tuple[Verdict, bool, bool]], kind: RefinementReward
) -> None:
    verdicts, before, after = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    for verdict, correct, reward in zip(
        verdicts, before, refinement_rewards(verdicts, before, after, kind=kind), strict=True
    ):
        assert reward is not None
        assert (reward > -1) == agrees(verdict, correct)
        assert -1 <= reward <= 1.2
    for verdict, correct, reward in zip(
        verdicts, before, dual_rewards(verdicts, before, [[one] for one in after]), strict=True
    ):
        assert reward is not None
        assert (reward >= 0.5) == agrees(verdict, correct), "at lambda = 1 useless help is worth half"
