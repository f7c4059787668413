"""Points of several critiques, labelled one by one, the true ones put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actorcritic.types import GenerateRequest
from tests.collection.world import asked, collect, made, players

POINT: dict[str, Any] = {"step": 2, "kind": "sum", "severity": "severe", "text": "A chair is missing.", "fix": None}
FALSE: dict[str, Any] = {"step": None, "kind": "style", "severity": "minor", "text": "Too short.", "fix": "Write more."}
JUDGED = (
    "Step 1\nCorrectness of the step: Correct\n\nStep 2\nCorrectness of the step: Wrong\n"
    "Explanation: A chair is missing.\n\nCorrectness of the final answer: Wrong"
)


def teacher(request: GenerateRequest, points: str = json.dumps([POINT, FALSE])) -> str:
    text = asked(request)
    if "Take the critique apart" in text:
        return points
    if "Is this point true" in text:
        return "no" if "Too short" in text else "Yes."
    return JUDGED


def test_true_points_are_put_together(run: Path) -> None:
    seen: list[str] = []

    def listen(request: GenerateRequest) -> str:
        seen.append(asked(request))
        return teacher(request)

    collect(run, "aggregate-critiques", players(critic=listen))
    ((trial, one),) = made(run, "aggregate-critiques", "desk")
    assert trial == 1, "two of its three critiques have a verdict"
    assert [(unit["step"], unit["valid"], unit["fix"]) for unit in one["units"]] == [
        (1, True, None),
        (None, False, "Write more."),
    ] * 2
    assert one["critique"]["verdict"] == "incorrect"
    (last,) = [text for text in seen if "point by point" in text]
    assert "A chair is missing." in last and "Too short." not in last


def test_one_critique_is_enough_if_so_asked(run: Path) -> None:
    collect(run, "aggregate-critiques:least=1,attempts=wrong", players(critic=teacher))
    assert len(made(run, "aggregate-critiques", "bus")) == 1


def test_a_label_that_cannot_be_read_is_none(run: Path) -> None:
    who = players(critic=lambda request: "hm" if "Is this point true" in asked(request) else teacher(request))
    collect(run, "aggregate-critiques", who)
    ((_, one),) = made(run, "aggregate-critiques", "desk")
    assert {unit["valid"] for unit in one["units"]} == {None}


@pytest.mark.parametrize(
    "points",
    [
        "{}",
        "[1]",
        *(json.dumps([{**POINT, **change}]) for change in ({"step": 3}, {"step": "1"}, {"severity": "fatal"})),
        *(json.dumps([{**POINT, **change}]) for change in ({"kind": None}, {"text": " "}, {"severity": None})),
    ],
)
def test_points_that_make_no_sense_are_a_failure(run: Path, points: str) -> None:
    heard = collect(run, "aggregate-critiques", players(critic=lambda request: teacher(request, points)))
    assert heard["desk"].failed == 1 and made(run, "aggregate-critiques", "desk") == []


def test_an_aggregate_without_a_verdict_is_a_failure(run: Path) -> None:
    who = players(critic=lambda request: "Fine." if "point by point" in asked(request) else teacher(request))
    assert collect(run, "aggregate-critiques", who)["desk"].failed == 1
