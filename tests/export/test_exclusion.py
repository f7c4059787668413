"""Held-out problems, and near-duplicates of benchmarks without what is only a form of words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.export.exclusion import Exclusion, heldout_key, read_benchmarks
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
        key = heldout_key(drawn)
        assert key is not None and split_of(key) == "train"


def test_a_problem_of_no_family_has_no_key() -> None:
    assert heldout_key(problem("What is love?")) is None


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
