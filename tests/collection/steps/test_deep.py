"""Critiques of every step, deeper ones against a label, and a merge that gives nothing away."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from actorcritic.types import GenerateRequest
from tests.collection.world import asked, collect, made, players


def judged(text: str, verdict: str) -> str:
    return f"<critique>\n{text}\n</critique>\n<verdict>\n{verdict}\n</verdict>"


def teacher(request: GenerateRequest) -> str:
    """Take every step for correct at first; find the mistake in every other deeper look."""
    text = asked(request)
    if "Two judgements" in text:
        assert "3 + 4" not in text or "Bags are no apples." in text, "merged with one whose verdict is the label's"
        return "<critique>\nIt looks right; checked again, it is not.\n</critique>"
    if "A reviewer's judgement" in text and "3 + 4" in text:
        return judged("Bags are no apples.", "incorrect" if "in a way that" in text else "correct")
    return judged("It holds.", "correct")


def test_deeper_critiques_are_chosen_by_the_label(run: Path) -> None:
    collect(run, "deep-critique:n=4,label=rollouts,attempts=wrong", players(critic=teacher))
    ((trial, one),) = made(run, "deep-critique", "apples")
    assert (trial, one["first_bad_step"], len(one["steps"])) == (3, 0, 1), "nothing after the first wrong step"
    (step,) = one["steps"]
    assert step["initial"]["verdict"] == "correct"
    assert Counter((deeper["kind"], deeper["verdict"]) for deeper in step["deeper"]) == {
        ("of-critique", "correct"): 2,
        ("other-angle", "incorrect"): 2,
    }
    assert step["merged"] == "It looks right; checked again, it is not."


def test_a_right_solution_has_every_step_judged(run: Path) -> None:
    collect(run, "deep-critique:n=1,label=rollouts", players(critic=teacher))
    found = dict(made(run, "deep-critique", "apples"))
    assert sorted(trial for trial in found if trial is not None) == [0, 3], "completions of attempt 2 do not tell"
    assert found[0]["first_bad_step"] is None and len(found[0]["steps"]) == 2


def test_the_threshold_decides_what_completions_tell(run: Path) -> None:
    collect(run, "deep-critique:n=1,label=rollouts,threshold=0.2", players(critic=teacher))
    assert [trial for trial, _ in made(run, "deep-critique", "apples")] == [0, 2, 3]


def test_words_have_no_exact_labels(run: Path) -> None:
    heard = collect(run, "deep-critique:n=1,label=exact", players(critic=teacher))
    assert all(done.made == 0 and done.failed == 0 for done in heard.values())


@pytest.mark.parametrize(
    "merged", ["<critique>As the original critique says.</critique>", "no section", "<critique></critique>"]
)
def test_a_merge_that_cannot_be_used_is_none(run: Path, merged: str) -> None:
    who = players(critic=lambda request: merged if "Two judgements" in asked(request) else teacher(request))
    collect(run, "deep-critique:n=2,label=rollouts,attempts=wrong", who)
    ((_, one),) = made(run, "deep-critique", "apples")
    assert one["steps"][0]["merged"] is None


def test_what_cannot_be_read_is_unscored_and_merges_with_nothing(run: Path) -> None:
    collect(run, "deep-critique:n=2,label=rollouts,attempts=wrong", players(critic="The step is correct, trust me."))
    ((_, one),) = made(run, "deep-critique", "apples")
    (step,) = one["steps"]
    assert {step["initial"]["verdict"], *(deeper["verdict"] for deeper in step["deeper"])} == {"unscored"}
    assert step["merged"] is None


def test_nothing_is_merged_where_no_deeper_look_finds_the_error(run: Path) -> None:
    who = players(critic=lambda request: judged("It holds.", "correct"))
    collect(run, "deep-critique:n=4,label=rollouts,attempts=wrong", who)
    ((_, one),) = made(run, "deep-critique", "apples")
    assert one["steps"][0]["merged"] is None and len(one["steps"][0]["deeper"]) == 4
