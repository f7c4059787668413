"""Step labels from completions: hard and soft, and DeepCritic's rule for the first wrong step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.collection.labels import Located, hard_labels, locate_error, soft_labels


def test_hard_is_any_and_soft_is_the_share() -> None:
    assert hard_labels([8, 1, 0]) == (True, True, False)
    assert soft_labels([8, 1, 0], 8) == (1.0, 0.125, 0.0)


@given(st.integers(1, 64), st.data())
def test_hard_is_never_below_soft_and_equal_where_all_agree(rollouts: int, data: st.DataObject) -> None:
    """Section 14, test (f)."""
    successes = data.draw(st.lists(st.integers(0, rollouts), min_size=1, max_size=12))
    for hard, soft in zip(hard_labels(successes), soft_labels(successes, rollouts), strict=True):
        assert hard >= soft
        assert (float(hard) == soft) == (soft in (0.0, 1.0))


@pytest.mark.parametrize(
    ("successes", "correct", "located"),
    [
        ([8, 6, 0, 0], False, Located(2)),
        ([0, 0], False, Located(0)),
        ([8, 4, 0], False, None),  # half is not most
        ([8, 0, 3, 0], False, None),  # it had failed before
        ([8, 8], False, None),  # nothing failed, yet the end is wrong
        ([8, 5, 8], True, Located(None)),
        ([8, 2, 8], True, None),
    ],
)
def test_the_first_wrong_step_is_where_success_ends(
    successes: list[int], correct: bool, located: Located | None
) -> None:
    assert locate_error(successes, 8, correct=correct) == located


def test_the_threshold_is_an_option() -> None:
    assert locate_error([8, 4, 0], 8, correct=False, threshold=0.4) == Located(2)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=8))
def test_nothing_succeeds_after_a_located_error(successes: list[int]) -> None:
    located = locate_error(successes, 8, correct=False)
    if located is not None:
        assert located.first_bad_step is not None
        assert not any(hard_labels(successes[located.first_bad_step :]))
        assert all(hard_labels(successes[: located.first_bad_step]))
