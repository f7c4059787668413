"""Held-out problems, and near-duplicates of benchmarks without what is only a form of words."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from actorcritic.export.exclusion import Exclusion, heldout_keys, read_benchmarks
from actorcritic.tasks import gym
from actorcritic.tasks.heldout import KEY, split_of
from actorcritic.tasks.sources import draw_problems
from actorcritic.types import Problem

STORY = (
    "A farmer has {} hens and every hen lays {} eggs in a week so how many eggs does he sell in a month of four weeks?"
)


def problem(text: str) -> Problem:
    return Problem(id="p", prompt=text)


@pytest.mark.parametrize("task", ["countdown", "arithmetic", "sudoku"])
def test_the_published_rule_holds_whatever_the_id(task: str) -> None:
    for split in ("test", "dev"):
        for drawn in draw_problems(task, split, 3):
            reason = Exclusion({}, ()).reason(problem(drawn.text))
            assert reason == f"held out by the published rule ({split})"
    for drawn in draw_problems(task, "train", 3):
        assert Exclusion({}, ()).reason(drawn) is None
        keys = heldout_keys(drawn)
        assert len(keys) == 1 and split_of(keys[0]) == "train"


@pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="reasoning_gym is in the extra `tasks`")
@pytest.mark.parametrize("task", ["gcd", "countdown"])
def test_the_published_rule_holds_for_every_task_that_is_drawn(task: str) -> None:
    for split in ("test", "dev", "train"):
        for drawn in draw_problems(f"{gym.PREFIX}{task}", split, 3):
            for kept in (drawn, replace(drawn, id="mine"), replace(drawn, checker="exact"), _without_key(drawn)):
                assert heldout_keys(kept) == (gym.problem_key(task, drawn.text),)
                reason = Exclusion({}, ()).reason(kept)
                assert reason == (None if split == "train" else f"held out by the published rule ({split})")


def _without_key(drawn: Problem) -> Problem:
    """Return a problem as logs have it that were written before problems named their keys."""
    return replace(drawn, meta={name: value for name, value in drawn.meta.items() if name != KEY})


def test_a_problem_of_no_family_has_no_key() -> None:
    assert heldout_keys(problem("What is love?")) == ()


def test_a_name_takes_no_test_problem_out_of_the_rule() -> None:
    drawn = draw_problems("countdown", "test", 1)[0]
    assert split_of("textworld:easy:2") == "train"
    assert Exclusion({}, ()).reason(replace(drawn, meta={KEY: "textworld:easy:2"})) is not None


def test_a_problem_may_name_its_key_where_its_text_says_nothing() -> None:
    for key in ("textworld:easy:8", "textworld:easy:2"):
        split = split_of(key)
        reason = Exclusion({}, ()).reason(Problem(id="p", prompt="You are hungry!", meta={KEY: key}))
        assert reason == (None if split == "train" else f"held out by the published rule ({split})")
    assert {split_of("textworld:easy:8"), split_of("textworld:easy:2")} == {"test", "train"}


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("How many legs have two dogs?", True),
        ("how many LEGS have two dogs", True),
        ("How many legs have three dogs?", False),
        (STORY.format(3, 5), True),
        ("Hello! " + STORY.format(3, 5) + " And in a year?", True),
        # The numbers differ, thirteen words in a row do not.
        (STORY.format(4, 6), True),
        ("A farmer has 3 hens. What are they called?", False),
    ],
)
def test_near_duplicates_of_a_benchmark(text: str, near: bool) -> None:
    exclusion = Exclusion({"bench": ["How many legs have two dogs?", STORY.format(3, 5)]}, [text])
    assert exclusion.reason(problem(text)) == ("near-duplicate of a problem in bench" if near else None)


def test_a_form_of_words_of_many_problems_proves_nothing() -> None:
    own = [STORY.format(3, n) for n in range(20)]
    exclusion = Exclusion({"bench": [STORY.format(7, 99), own[4]]}, own)
    assert exclusion.reason(problem(own[5])) is None
    assert exclusion.reason(problem(own[4])) == "near-duplicate of a problem in bench"


def test_benchmarks_are_read_from_problem_files(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    file.write_text(
        json.dumps({"id": "1", "problem": [{"role": "user", "content": "Two dogs?"}]}) + "\n", encoding="utf-8"
    )
    texts, digests = read_benchmarks([file])
    assert texts == {"bench.jsonl": ["Two dogs?"]} and len(digests["bench.jsonl"]) == 64
