"""Scores that a run lacks, and what the environment says of an attempt."""

from __future__ import annotations

from pathlib import Path

from tests.collection.world import collect, episode_of, made, players


def test_attempts_that_nobody_scored_are_scored(run: Path) -> None:
    assert episode_of(run, "late").attempt(0).correct is None
    heard = collect(run, "score", players())
    assert sum(done.made for done in heard.values()) == 1 and all(done.tokens == 0 for done in heard.values())
    late = episode_of(run, "late")
    assert late.attempt(0).correct is True and late.attempt(1).correct is False
    assert (late.attempt(0).scores[-1].by, late.attempt(0).scores[-1].gold) == ("checker:exact", True)
    assert sum(done.made for done in collect(run, "score", players()).values()) == 0


def test_feedback_says_what_is_wrong_and_never_the_gold_answer(run: Path) -> None:
    collect(run, "feedback", players())
    (right, *_, wrong) = made(run, "feedback", "apples")
    assert right == (0, {"by": "checker:exact", "passed": True, "messages": []})
    assert wrong == (3, {"by": "checker:exact", "passed": False, "messages": ["The final answer is wrong."]})


def test_feedback_of_chosen_attempts(run: Path) -> None:
    collect(run, "feedback:attempts=wrong", players())
    assert [trial for trial, _ in made(run, "feedback", "apples")] == [3]
    collect(run, "feedback:attempts=right,pass_rate=0.75", players())
    assert [trial for trial, _ in made(run, "feedback", "apples")] == [3, 0, 1, 2]
    assert [trial for trial, _ in made(run, "feedback", "desk")] == [1, 0]
    heard = collect(run, "feedback:attempts=all,pass_rate=0", players())
    assert heard["desk"].made == 0, "one of two is right: more than none"
    assert [trial for trial, _ in made(run, "feedback", "coins")] == [0, 1]
