"""A chain of steps, critiques and corrections as a monologue; why a refinement mends what was wrong."""

from __future__ import annotations

from pathlib import Path

from actorcritic.types import GenerateRequest
from tests.collection.world import asked, collect, made, players


def critic(request: GenerateRequest) -> str:
    """Find the second step wrong while it takes 5 away; smooth; explain."""
    text = asked(request)
    if "monologue" in text:
        return "<monologue>\n20 - 7 = 13. Now 13 - 5 = 8. Wait: 5 get on. 13 + 5 = 18, so \\boxed{18}.\n</monologue>"
    if "Explain in a few sentences" in text:
        return "<explanation>\nWho gets on is to be added.\n</explanation>"
    steps = text.count("```step")
    verdict = "Wrong\nExplanation: 5 get on." if "13 - 5" in text else "Correct"
    blocks = [f"Step {n}\nCorrectness of the step: {'Correct' if n == 1 else verdict}" for n in range(1, steps + 1)]
    return "\n\n".join([*blocks, f"Correctness of the final answer: {verdict.split()[0]}"])


MENDED = "13 + 5 = 18, so \\boxed{18}."


def test_a_correction_follows_the_wrong_step(run: Path) -> None:
    collect(run, "self-talk", players(MENDED, critic=critic))
    ((trial, one),) = made(run, "self-talk", "bus")
    assert (trial, one["correct"]) == (0, True) and one["text"].startswith("20 - 7")
    assert [(entry["index"], entry["text"], entry["verdict"]) for entry in one["chain"]] == [
        (0, "20 - 7 = 13", "correct"),
        (1, "13 - 5 = 8", "incorrect"),
        (1, MENDED, "correct"),
    ]
    assert one["chain"][1]["critique"] == "5 get on."


def test_it_gives_up_after_so_many_corrections(run: Path) -> None:
    heard = collect(run, "self-talk:rounds=1", players("Again 13 - 5 = 8, so \\boxed{8}.", critic=critic))
    assert heard["bus"].failed == 1 and made(run, "self-talk", "bus") == []


def test_a_critic_without_a_verdict_tells_no_story(run: Path) -> None:
    assert collect(run, "self-talk", players(MENDED, critic="verdict: correct"))["bus"].failed == 1


def test_a_right_refinement_is_explained(run: Path) -> None:
    collect(run, "explain-repair", players(critic=critic))
    assert made(run, "explain-repair", "bus") == [
        (1, {"by": "scripted:teacher", "explanation": "Who gets on is to be added."}),
        (2, {"by": "scripted:teacher", "explanation": "Who gets on is to be added."}),
    ]
    assert made(run, "explain-repair", "tree") == []


def test_no_explanation_is_a_failure(run: Path) -> None:
    assert collect(run, "explain-repair", players(critic="It is obvious."))["bus"].failed == 2
