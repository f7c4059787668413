"""How sure a model is of a target, and whether its own answer is better, judged in both orders."""

from __future__ import annotations

from pathlib import Path

from actorcritic.types import GenerateRequest
from tests.collection.world import asked, collect, made, players


def actor(request: GenerateRequest) -> str:
    """Answer 10 in half of the samples; choose A at first and C then."""
    if "proposed answer" in asked(request):
        return "A" if request.sampling.temperature == 0 else "(C)"
    if "Do both say the same" in asked(request):
        return "yes"
    return f"So \\boxed{{{10 if (request.seed or 0) % 2 else 11}}}."


def test_confidence_has_an_observed_and_a_reflected_part(run: Path) -> None:
    collect(run, "confidence:k=8,choices=2", players(actor))
    found = dict(made(run, "confidence", "apples"))
    assert sorted(trial for trial in found if trial is not None) == [0, 1, 2, 3]
    assert 0 < found[0]["observed"] < 1 and (found[0]["observed"] * 8).is_integer()
    assert found[3]["observed"] == 0, "its answer is 5"
    assert found[0]["reflected"] == 0.75 and found[0]["samples"] == 8


def test_the_gold_solution_is_a_target_of_its_own(run: Path) -> None:
    collect(run, "confidence:k=2,target=gold", players(actor))
    ((trial, one),) = made(run, "confidence", "apples")
    assert trial is None and one["observed"] == 1.0, "its answer is not marked: a model is asked whether they agree"
    assert made(run, "confidence", "coins") == []


def test_a_model_that_chooses_nothing_is_a_failure(run: Path) -> None:
    who = players(lambda request: "D" if "proposed answer" in asked(request) else actor(request))
    assert collect(run, "confidence:k=1", who)["apples"].failed == 4


def first_is_better(request: GenerateRequest) -> str:
    return "yes"


def right_is_better(request: GenerateRequest) -> str:
    first = asked(request).split("Answer A:")[1].split("Answer B:")[0]
    return "Yes" if "boxed{10}" in first else "No"


def test_a_candidate_is_judged_in_both_orders(run: Path) -> None:
    mends = players("So \\boxed{10}.", critic=right_is_better)
    collect(run, "rectify:attempts=wrong,judgements=2", mends)
    ((trial, one),) = made(run, "rectify", "apples")
    assert (trial, one["solution"]["answer"], one["better"]) == (3, "10", [1.0, 1.0, 1.0, 1.0])
    assert (one["by"], one["model"]) == ("scripted:teacher", "scripted:stub-actor")


def test_a_judge_that_goes_by_the_place_says_nothing(run: Path) -> None:
    collect(run, "rectify:attempts=wrong,samples=2", players("So \\boxed{10}.", critic=first_is_better))
    found = made(run, "rectify", "apples")
    assert [one["better"] for _, one in found] == [[1.0, 0.0], [1.0, 0.0]]


def test_judgements_that_cannot_be_read_are_left_out(run: Path) -> None:
    collect(run, "rectify:target=gold", players("So \\boxed{10}.", critic="Both are fine."))
    ((trial, one),) = made(run, "rectify", "apples")
    assert trial is None and one["better"] == []
