"""The published rule, by its own words."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from actorcritic.tasks.heldout import may_train, split_of
from actorcritic.tasks.labels import OK, StepLabel, first_wrong


@given(st.text(max_size=30))
def test_the_rule(key: str) -> None:
    bucket = int(sha256(key.encode()).hexdigest(), 16) % 10
    assert split_of(key) == {0: "test", 1: "dev"}.get(bucket, "train")


def test_one_held_out_state_is_enough() -> None:
    keys = [f"countdown:1,2,3->{t}" for t in range(1, 100)]
    train = [k for k in keys if split_of(k) == "train"]
    test = [k for k in keys if split_of(k) == "test"]
    assert may_train(train)
    assert not may_train([*train, test[0]])
    assert not may_train([next(k for k in keys if split_of(k) == "dev")])


def test_first_wrong() -> None:
    assert first_wrong([OK, StepLabel("clash"), OK]) == 1
    assert first_wrong([OK, OK]) is None
