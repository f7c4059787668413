"""Errors analysed, put in by their measured distribution, reflected on; what a teacher says is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actorcritic.collection.steps.lemma import count_types
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.types import GenerateRequest
from tests.collection.world import Players, asked, collect, episode_of, made, players
from tests.export.log import exported, rows_of

ANALYSIS = {"valid": True, "step": 1, "error_type": "counting", "explanation": "Bags are not apples."}
INJECTED = (
    "<solution>\n3 * 4 = 12\n\n12 - 2 = 11\n\nSo \\boxed{11}.\n</solution>\n<step>2</step>\n"
    "<explanation>It takes one too few.</explanation>"
)
CONTINUED = (
    "<continuation>\nWait, maybe something is wrong here. It is 12 - 2 = 10.\n\nSo \\boxed{10}.\n</continuation>"
)


def teacher(request: GenerateRequest) -> str:
    text = asked(request)
    if "careless student" in text:
        return INJECTED
    return json.dumps(ANALYSIS) if "what kind of error" in text else CONTINUED


def calls(who: Players) -> list[str]:
    assert isinstance(who.critic, ModelCritic) and isinstance(who.critic.engine, ScriptedEngine)
    return [asked(call.request) for call in who.critic.engine.calls]


def test_a_wrong_attempt_is_analysed(run: Path) -> None:
    collect(run, "analyse-error", players(critic=teacher))
    ((trial, one),) = made(run, "analyse-error", "apples")
    assert trial == 3
    assert (one["valid"], one["error_type"], one["first_bad_step"]) == (True, "counting", 0)
    assert count_types(read_episodes(run)) == {"counting": 6}


def test_no_error_found_is_an_answer_too(run: Path) -> None:
    collect(run, "analyse-error", players(critic='{"valid": false}'))
    ((_, one),) = made(run, "analyse-error", "apples")
    assert (one["valid"], one["error_type"], one["first_bad_step"]) == (False, None, None)


@pytest.mark.parametrize(
    "change", [{"step": 0}, {"step": 3}, {"step": True}, {"error_type": "evil"}, {"valid": "yes"}, {"step": "1"}]
)
def test_an_analysis_that_makes_no_sense_is_a_failure(run: Path, change: dict[str, Any]) -> None:
    heard = collect(run, "analyse-error", players(critic=json.dumps({**ANALYSIS, **change})))
    assert heard["apples"].failed == 1 and made(run, "analyse-error", "apples") == []


def test_errors_are_put_in_as_the_run_shows_them(run: Path) -> None:
    who = players(critic=teacher)
    collect(run, "analyse-error", who)
    collect(run, "inject-error:samples=2", who)
    found = made(run, "inject-error", "apples")
    assert [(trial, one["error_type"]) for trial, one in found] == [(0, "counting")] * 2
    one = found[0][1]
    assert (one["first_bad_step"], one["correct"], one["explanation"]) == (1, False, "It takes one too few.")


def test_without_analyses_every_kind_is_drawn(run: Path) -> None:
    who = players(critic=teacher)
    collect(run, "inject-error:samples=12", who)
    asked_for = {text.split("of the kind ")[1].split(".")[0] for text in calls(who) if "careless" in text}
    assert len(asked_for) > 3


def test_a_problem_that_never_failed_is_left_alone(run: Path) -> None:
    collect(run, "score", players())
    heard = collect(run, "inject-error", players(critic=teacher))
    failed = {name for name in heard if any(a.correct is False for a in episode_of(run, name).attempts)}
    assert all(heard[name].made + heard[name].failed == 0 for name in heard.keys() - failed)
    assert heard["apples"].made == 1, "the steps of the other two do not stand before the mistake"


@pytest.mark.parametrize(
    "said",
    [
        INJECTED.replace("3 * 4 = 12", "4 * 3 = 12"),
        INJECTED.replace("<step>2", "<step>9"),
        INJECTED.replace("<step>2", "<step>²"),
        INJECTED.replace("</solution>", ""),
        "I will not make mistakes.",
    ],
)
def test_an_injection_that_cannot_be_used_is_a_failure(run: Path, said: str) -> None:
    heard = collect(run, "inject-error", players(critic=said))
    assert heard["apples"].made == 0 and heard["apples"].failed == 3


def test_both_kinds_of_flaws_are_reflected_on(run: Path) -> None:
    who = players(critic=teacher)
    for step in ("analyse-error", "inject-error", "reflect"):
        collect(run, step, who)
    found = made(run, "reflect", "apples")
    assert [(trial, one["source"], one["strategy"]) for trial, one in found] == [
        (3, "natural", "fix-continue"),
        (3, "natural", "fresh-restart"),
        (0, "injected", "fix-continue"),
        (0, "injected", "fresh-restart"),
    ]
    assert all(one["correct"] for _, one in found)
    smoothed = [text for text in calls(who) if "one train of thought" in text]
    assert sum("3 + 4 = 7" in text or "12 - 2 = 11" in text for text in smoothed) == 4
    texts = [str(row["completion"]) for row in rows_of(exported("lemma", episode_of(run, "apples")))]
    assert any("12 - 2 = 11" in text and "Wait, maybe" in text for text in texts)


def test_one_strategy_unsmoothed(run: Path) -> None:
    who = players(critic=teacher)
    collect(run, "analyse-error", who)
    for strategy in ("fix-continue", "fresh-restart"):
        collect(run, f"reflect:strategy={strategy},smooth=no", who)
    assert [one["strategy"] for _, one in made(run, "reflect", "apples")] == ["fix-continue", "fresh-restart"]
    assert not any("one train of thought" in text for text in calls(who))


def test_a_reflection_that_ends_wrong_says_so(run: Path) -> None:
    who = players(critic=lambda request: teacher(request).replace("boxed{10}", "boxed{12}"))
    for step in ("analyse-error", "reflect:smooth=no"):
        collect(run, step, who)
    assert [one["correct"] for _, one in made(run, "reflect", "apples")] == [False, False]
