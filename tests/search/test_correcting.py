"""Where a solution is cut: at the critic's first error, or before it, where the critic was no longer sure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.search.correcting import LOCATE, SURE, find_cut, lets_through
from actorcritic.search.options import Options, OptionValue
from actorcritic.types import Outcome, Verdict

scores = st.lists(st.none() | st.floats(0, 1), max_size=8).map(tuple)
levels = st.floats(0, 1)


def cut(outcome: Outcome, **given: OptionValue) -> int | None:
    return find_cut(outcome, Options((LOCATE, SURE), given))


def sure_of(steps: tuple[float | None, ...]) -> float:
    return math.prod(score for score in steps if score is not None)


@given(steps=scores, error=st.none() | st.integers(0, 8), low=levels, high=levels)
def test_what_is_kept_lies_before_the_error_and_is_as_sure_as_can_be(
    steps: tuple[float | None, ...], error: int | None, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    outcome = Outcome(verdict=Verdict.INCORRECT, first_error=error, step_scores=steps)
    assert cut(outcome, sure=0.0) == error
    found = cut(outcome, sure=high)
    if error is None:
        assert found is None
        return
    less = cut(outcome, sure=low)
    assert found is not None and less is not None and 0 <= found <= less <= error
    assert not found or not high or sure_of(steps[:found]) >= high
    assert found == error or sure_of(steps[: found + 1]) < high


@pytest.mark.parametrize(("sure", "step"), [(0.0, 3), (0.5, 3), (0.8, 2), (0.95, 1), (1.0, 0)])
def test_the_surer_the_critic_has_to_be_the_less_is_kept(sure: float, step: int) -> None:
    outcome = Outcome(verdict=Verdict.INCORRECT, first_error=3, step_scores=(0.99, 0.9, 0.7, 0.01))
    assert cut(outcome, sure=sure) == step


def test_the_least_confident_step_is_the_actors_own() -> None:
    outcome = Outcome(verdict=Verdict.INCORRECT, first_error=3, step_scores=(0.1,) * 4, least_confident=2)
    assert cut(outcome, locate="least-confident", sure=0.95) == 2


@pytest.mark.parametrize(
    ("verdict", "gate", "through"),
    [
        (Verdict.INCORRECT, "critic", True),
        (Verdict.CORRECT, "critic", False),
        (Verdict.CORRECT, "always", True),
        (Verdict.UNSCORED, "always", False),
    ],
)
def test_the_gates(verdict: Verdict, gate: str, through: bool) -> None:
    assert lets_through(Outcome(verdict=verdict), gate) is through
