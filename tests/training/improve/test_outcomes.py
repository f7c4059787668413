"""Votes, and fifths by difficulty."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorcritic.training.improve.outcomes import quintiles, voted

FLAGS = st.lists(st.booleans(), min_size=4, max_size=4)


def test_the_most_frequent_answer_decides() -> None:
    assert voted(["a", "b", "b", None], [True, False, False, False]) is False
    assert voted(["a", "b", "a", "b"], [True, False, True, False]) is True, "the first seen of equals"
    assert voted([None, None], [False, False]) is False and voted([], []) is False


@given(st.dictionaries(st.text(min_size=1), FLAGS, min_size=1, max_size=40), st.integers(0, 3))
def test_fifths_are_equally_large_and_ordered(right: dict[str, list[bool]], seed: int) -> None:
    levels = quintiles(right, seed)
    sizes = [sum(level == each for level in levels.values()) for each in range(1, 6)]
    assert sum(sizes) == len(right) and max(sizes) - min(sizes) <= 1
    for one, flags in right.items():
        for other, more in right.items():
            if sum(flags) > sum(more):
                assert levels[one] <= levels[other]
    assert quintiles(dict(reversed(right.items())), seed) == levels, "the order in which they come says nothing"


def test_equal_problems_are_drawn_not_sorted() -> None:
    right = {f"p{i:03}": [True] for i in range(100)}
    assert quintiles(right, 0) != quintiles(right, 1)
    by_name = [level for _, level in sorted(quintiles(right, 0).items())]
    assert by_name != sorted(by_name)
