"""What collection steps appended to the log of `log.py` after the search, for recipes that need a model's work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from actorcritic.codec import encode
from actorcritic.types import Critique, JsonValue, StepCritique
from tests.export.log import RIGHT, WRONG, said, solved

__all__ = ["collected_events"]

Event: TypeAlias = tuple[str, str, int, dict[str, JsonValue]]
"""The problem, the step, the trial, the payload."""


def collected_events() -> Iterator[Event]:
    """Yield every event, in order."""
    yield from _flawed()
    yield from _refined()
    yield from _deep()
    yield from _aggregated()
    yield from _curated()
    yield from _written()
    yield from _unlikely()


def _flawed() -> Iterator[Event]:
    step = StepCritique(verdict=WRONG, explanation="Three bags of four are twelve apples.")
    critique = Critique(steps=(step,), verdict=WRONG)
    payload: dict[str, JsonValue] = {"by": "stub-teacher", "source": "detail", "first_bad_step": 0, "actor": "a"}
    flawed = encode(solved("3 * 4 = 14, which is the number in all bags", "14 - 2 = 12", answer="12"))
    counts: dict[str, JsonValue] = {"refined": 10, "successes": 6}
    yield "apples", "flawed-critique", 0, {**payload, **counts, "solution": flawed, "critique": encode(critique)}


def _refined() -> Iterator[Event]:
    critique = said(WRONG, "One chair is missing: \\boxed{120}.")
    right = solved("20 + 20 + 80 = 120", answer="120")
    lot: list[JsonValue] = [{"solution": encode(right), "correct": True, "incorporates": [0.9, 0.8]}]
    payload: dict[str, JsonValue] = {"critic": "critic", "critique": encode(critique), "actor": "stub-actor"}
    yield "desk", "refine", 1, {**payload, "refinements": lot}


def _step(initial: str, label: str, merged: str) -> JsonValue:
    deeper: list[JsonValue] = [{"verdict": label, "text": "Looked at again.", "kind": "other-angle"}]
    return {"initial": {"verdict": initial, "text": "At first sight."}, "deeper": deeper, "merged": merged}


def _deep() -> Iterator[Event]:
    wrong = [_step("correct", "incorrect", "It looks fine, but bags are not apples. This step is wrong.")]
    right = [_step("incorrect", "correct", "12 it is."), _step("correct", "correct", "Two less is 10.")]
    plain = [_step("correct", "correct", "A quarter of 80."), _step("correct", "correct", "Two chairs are 40.")]
    for problem, trial, steps, bad in (("apples", 3, wrong, 0), ("apples", 0, right, None), ("desk", 0, plain, None)):
        yield problem, "deep-critique", trial, {"by": "stub-teacher", "steps": steps, "first_bad_step": bad}


def _unit(critic: str, text: str, *, valid: bool) -> JsonValue:
    unit: dict[str, JsonValue] = {"critic": critic, "step": 1, "kind": "operator", "severity": "severe"}
    return {**unit, "text": text, "fix": None, "valid": valid}


def _aggregated() -> Iterator[Event]:
    units = [
        _unit("stub-critic", "They get on, so they are to be added.", valid=True),
        _unit("other-critic", "There are only 20 seats.", valid=False),
    ]
    for problem, verdict, text in (
        ("bus", WRONG, "Step 2 takes away the people who get on."),
        ("apples", RIGHT, "Both steps do what the question asks."),
    ):
        critique = encode(said(verdict, text))
        yield problem, "aggregate-critiques", 0, {"by": "meta-critic", "units": list(units), "critique": critique}


def _curated() -> Iterator[Event]:
    for problem, trial, observed, reflected in (
        ("apples", 0, 0.9, 1.0),
        ("apples", 3, 0.1, 0.0),
        ("bus", 0, 0.2, 0.5),
        ("coins", 1, 0.0, 0.5),
        ("desk", 0, 1.0, 1.0),
    ):
        payload: dict[str, JsonValue] = {"by": "stub-actor", "samples": 5, "observed": observed}
        yield problem, "confidence", trial, {**payload, "reflected": reflected}
    bags, bus = solved("3 * 4 - 2 = 10", answer="10"), solved("20 - 7 = 13", "13 + 7 = 20", answer="20")
    for problem, trial, solution, better in (("apples", 3, bags, [0.9, 0.95]), ("bus", 0, bus, [0.8, 0.6])):
        payload = {"by": "stub-actor", "model": "stub-tuned", "solution": encode(solution)}
        yield problem, "rectify", trial, {**payload, "better": list(better)}


def _written() -> Iterator[Event]:
    chain: list[JsonValue] = [
        {"text": "20 - 7 = 13", "verdict": "correct", "critique": "Right.", "index": 0},
        {"text": "13 - 5 = 8", "verdict": "incorrect", "critique": "They get on.", "index": 1},
        {"text": "13 + 5 = 18", "verdict": "correct", "critique": "Right.", "index": 1},
    ]
    text = "Without the 7, 13 are left. Then 13 - 5 = 8. Wait, 5 get on, so it is 13 + 5 = 18. The answer is 18."
    yield "bus", "self-talk", 0, {"by": "stub-actor", "chain": chain, "text": text, "correct": True}
    why = "The 5 people get on the bus, so they are added where the wrong version took them away."
    yield "bus", "explain-repair", 1, {"by": "stub-teacher", "explanation": why}


def _unlikely() -> Iterator[Event]:
    for problem, trial, perplexity in (
        ("apples", 0, 1.2),
        ("bus", 1, 2.5),
        ("coins", 1, 4.0),
        ("tree", 4, 5.0),
        ("desk", 0, 1.1),
    ):
        yield problem, "perplexity", trial, {"model": "stub-actor", "tokens": 4, "perplexity": perplexity}
