"""Every problem goes one way, by its words and the seed alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.splitting import parse_split, split_of_problem
from actorcritic.types import Message, Problem


@given(st.text(), st.text(), st.integers(0, 99), st.floats(0.01, 1))
def test_the_id_does_not_matter(text: str, name: str, seed: int, share: float) -> None:
    one, other = Problem(id="a", prompt=f"{text} x"), Problem(id=name, prompt=f"  {text}  X ")
    assert split_of_problem(one, share, seed) == split_of_problem(one, share, seed) in ("train", "validation")
    if text.isascii():
        assert split_of_problem(one, share, seed) == split_of_problem(other, share, seed)
    if split_of_problem(one, share, seed) == "train":
        assert split_of_problem(one, 1.0, seed) == "train", "a larger share keeps what it has"


def test_shares_are_met_and_seeds_differ() -> None:
    problems = [Problem(id=str(n), prompt=(Message(role="user", content=f"What is {n}?"),)) for n in range(2000)]
    first, second = ([split_of_problem(p, 0.9, seed) for p in problems] for seed in (0, 1))
    assert first != second
    for splits in (first, second):
        assert 0.87 < splits.count("train") / 2000 < 0.93


@pytest.mark.parametrize(("text", "share"), [("0.95/0.05", 0.95), ("1/0", 1.0), ("0.5/0.5", 0.5)])
def test_shares_are_read(text: str, share: float) -> None:
    assert parse_split(text) == share


@pytest.mark.parametrize("text", ["", "0.9", "0.9/0.2", "0/1", "1.1/-0.1", "a/b", "nan/nan", "0.8/0.1/0.1"])
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="add up to 1"):
        parse_split(text)
