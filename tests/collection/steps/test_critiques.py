"""Further critiques, refinements of critiques scored by the checker, and whether these take them up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actorcritic.codec import decode
from actorcritic.types import Critique, GenerateRequest, Verdict
from tests.collection.world import asked, collect, made, players

JUDGED = (
    "Step 1\nCorrectness of the step: Correct\n\nStep 2\nCorrectness of the step: Wrong\n"
    "Explanation: It should be added.\n\nCorrectness of the final answer: Wrong"
)


def by_seed(request: GenerateRequest) -> str:
    """Come out right for every other seed."""
    return f"Again.\n\nSo \\boxed{{{18 if (request.seed or 0) % 2 else 17}}}."


def test_several_critiques_of_every_attempt(run: Path) -> None:
    collect(run, "critique:samples=2,attempts=wrong", players(critic=JUDGED))
    found = made(run, "critique", "bus")
    assert [trial for trial, _ in found] == [0, 0]
    critique = decode(Critique, found[0][1]["critique"])
    assert (critique.verdict, critique.first_error) == (Verdict.INCORRECT, 1)
    assert found[0][1]["critic"] == "scripted:teacher"


def test_more_samples_cost_the_difference(run: Path) -> None:
    who = players(critic=JUDGED)
    collect(run, "critique:samples=1", who)
    heard = collect(run, "critique:samples=3", who)
    assert heard["bus"].before == 3 and heard["bus"].made == 6


def test_critic_compute_goes_to_the_problems_that_failed(run: Path) -> None:
    heard = collect(run, "critique:pass_rate=0", players(critic=JUDGED))
    assert {name for name, done in heard.items() if done.made} == {"bus", "coins", "late"}


def test_an_unreadable_critique_is_unscored_and_never_refined(run: Path) -> None:
    who = players(by_seed, critic="verdict: correct, I am sure of it")
    collect(run, "critique:attempts=wrong", who)
    ((_, one),) = made(run, "critique", "bus")
    assert decode(Critique, one["critique"]).verdict is Verdict.UNSCORED
    collect(run, "refine:k=1,attempts=wrong", who)
    assert len(made(run, "refine", "bus")) == 1, "the run's own critique alone"


def test_k_refinements_per_critique_are_scored(run: Path) -> None:
    collect(run, "refine:k=6,attempts=wrong", players(by_seed))
    ((trial, one),) = made(run, "refine", "bus")
    assert trial == 0 and one["actor"] == "scripted:stub-actor"
    answers = [refined["solution"]["answer"] for refined in one["refinements"]]
    assert [refined["correct"] for refined in one["refinements"]] == [answer == "18" for answer in answers]
    assert set(answers) == {"17", "18"} and all(refined["incorporates"] == [] for refined in one["refinements"])


def test_critiques_that_find_a_mistake_alone(run: Path) -> None:
    collect(run, "refine:k=1,critiques=wrong", players(by_seed))
    assert [trial for trial, _ in made(run, "refine", "apples")] == [3], "that of attempt 0 finds none"
    collect(run, "refine:k=1,critiques=all", players(by_seed))
    assert [trial for trial, _ in made(run, "refine", "apples")] == [3, 0, 3]


def yes_to_some(request: GenerateRequest) -> str:
    return "Yes" if "take up" in asked(request) or "better" in asked(request) else "No."


def test_the_critics_model_is_asked_in_several_wordings(run: Path) -> None:
    collect(run, "refine:k=1,attempts=wrong,incorporates=yes", players(by_seed, critic=yes_to_some))
    ((_, one),) = made(run, "refine", "bus")
    chances = one["refinements"][0]["incorporates"]
    assert chances == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_logged_revisions_are_asked_about_too(run: Path) -> None:
    who = players(critic=yes_to_some)
    collect(run, "incorporates", who)
    found: list[Any] = made(run, "incorporates", "bus")
    assert [(trial, one["probabilities"]) for trial, one in found] == [
        (1, [1.0, 0.0, 0.0, 0.0, 1.0]),
        (2, [1.0, 0.0, 0.0, 0.0, 1.0]),
    ]


def test_a_reply_that_is_neither_is_a_failure(run: Path) -> None:
    heard = collect(run, "incorporates", players(critic="perhaps"))
    assert heard["bus"].failed == 2 and made(run, "incorporates", "bus") == []
