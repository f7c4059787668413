"""Selective self-to-supervised fine-tuning: every question once, in the model's own words where they are right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actorcritic.codec import encode
from actorcritic.errors import InputError
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.trajectory.provenance import ModelOrigin, Provenance
from actorcritic.types import Action, JsonValue, Reference, Solution
from tests.export.log import attempt, content, episode, exported, rows_of, solved

BASE = "base-model@1"


def by(model: str, one: Episode) -> Episode:
    return replace(one, provenance=Provenance(models=(ModelOrigin(role="actor", name="m", model=model),)))


def paraphrase(solution: Solution, *, model: str = BASE, **judged: bool | None) -> Derived:
    payload: dict[str, JsonValue] = {"model": model, "solution": encode(solution), **judged}
    return Derived(step="paraphrase", trial=None, payload=payload)


def item(name: str, *, own: bool | None, paraphrased: bool | None, **more: Any) -> Episode:
    """Return a question; whether the model's own answer and its paraphrase are right."""
    made = paraphrase(solved("in own words", answer="42"), correct=paraphrased, equivalent=paraphrased)
    one = episode(attempt(0, solved("own answer"), correct=own), name=name, text=f"Question {name}?", derived=(made,))
    return by(BASE, replace(one, gold=Reference(answer="42", solution="gold solution"), **more))


def test_acceptance() -> None:
    """Section 9: own answer, paraphrase, gold; every question once; all of the model that is going to be tuned."""
    items = (
        item("a", own=True, paraphrased=True),
        item("b", own=False, paraphrased=True),
        item("c", own=False, paraphrased=False),
    )
    rows = rows_of(exported("s3ft", *items))
    assert [(row["source"], content(row["completion"])) for row in rows] == [
        ("self", "own answer"),
        ("paraphrase", "in own words"),
        ("gold", "gold solution"),
    ]
    assert [content(row["prompt"]) for row in rows] == ["Question a?", "Question b?", "Question c?"]
    assert all(row["model"] == BASE for row in rows)


def test_the_answer_stands_for_a_solution_that_is_not_written_out() -> None:
    one = replace(item("a", own=False, paraphrased=None), gold=Reference(answer="42"))
    (row,) = rows_of(exported("s3ft", one))
    assert (row["source"], content(row["completion"])) == ("gold", "42")


@pytest.mark.parametrize(("verdict", "source"), [(True, "self"), (False, "paraphrase"), (None, "paraphrase")])
def test_a_model_may_judge(verdict: bool | None, source: str) -> None:
    one = item("a", own=None, paraphrased=True)
    said = Derived(step="judge-equivalence", trial=0, payload={"by": "j", "equivalent": verdict})
    (row,) = rows_of(exported("s3ft:judge=model", replace(one, derived=(*one.derived, said))))
    assert row["source"] == source


@pytest.mark.parametrize(
    "made",
    [
        paraphrase(solved("other"), model="tuned-model@2", correct=True),
        paraphrase(solved("cut off", complete=False), correct=True),
        paraphrase(solved("As the provided solution says, 42"), correct=True),
        paraphrase(solved("nobody judged it")),
    ],
)
def test_a_paraphrase_that_does_not_count(made: Derived) -> None:
    one = replace(item("a", own=False, paraphrased=None), derived=(made,))
    (row,) = rows_of(exported("s3ft", one))
    assert row["source"] == "gold"


def test_an_answer_written_with_help_is_not_the_model_s_own() -> None:
    attempts = (
        attempt(0, solved("cut", complete=False)),
        attempt(1, solved("revised"), correct=True, action=Action.REVISE, parent=0),
    )
    one = replace(item("a", own=False, paraphrased=False), attempts=attempts)
    (row,) = rows_of(exported("s3ft", one))
    assert row["source"] == "gold"


def test_runs_of_another_kind_are_left_out() -> None:
    several = ModelOrigin(role="actor", name="n", model="other@1")
    one = item("a", own=True, paraphrased=True)
    two = replace(one, provenance=replace(one.provenance, models=(*one.provenance.models, several)))
    nobody = replace(one, provenance=Provenance())
    no_gold = replace(item("b", own=False, paraphrased=False), gold=Reference())
    export = exported("s3ft", two, nobody, no_gold)
    assert export.total == 0
    assert export.drops == {
        "no right answer, and no gold solution": 1,
        "nothing tried by a model with a name": 1,
        "several actors: a run of the model to be tuned alone is wanted": 1,
    }


def test_paraphrases_are_asked_for_or_not() -> None:
    one = replace(item("a", own=True, paraphrased=True), derived=())
    assert exported("s3ft:paraphrase=if-given", one).total == 1
    with pytest.raises(InputError, match="--step paraphrase` collects them"):
        exported("s3ft", one)


def test_a_right_answer_needs_no_gold_solution() -> None:
    one = replace(item("a", own=True, paraphrased=True), gold=None)
    (row,) = rows_of(exported("s3ft", one))
    assert row["source"] == "self"
