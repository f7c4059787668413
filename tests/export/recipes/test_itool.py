"""iTool: pairs that share their beginning, of the problems that are hardest for the model."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.recipes.itool import hardest
from actorcritic.trajectory.attempts import Derived, EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Reference, ToolSpec
from tests.export.log import attempt, content, episode, exported, rows_of, solved

TOOL = ToolSpec(name="weather", description="Tells the weather.", parameters={})
CALLS = ('weather(city="Rome", day=2)', 'weather(city="Rome", day=3)', "time()", 'weather(city="Rome", day=4)')
VALUES = (0.9, 0.1, 0.5, None)


def node(trial: int, text: str, value: float | None, parent: int | None = None) -> EpisodeAttempt:
    action = Action.PROPOSE if parent is None else Action.EXTEND
    visits = None if value is None else 2
    return attempt(trial, solved(text), correct=True, action=action, parent=parent, value=value, visits=visits)


def unlikely(perplexity: float, trial: int | None = 0) -> Derived:
    return Derived(step="perplexity", trial=trial, payload={"model": "m", "tokens": 4, "perplexity": perplexity})


def searched(name: str, perplexity: float, *, tools: bool = True) -> Episode:
    lot = [node(i, text, value) for i, (text, value) in enumerate(zip(CALLS, VALUES, strict=True))]
    one = episode(*lot, name=name, text=f"How is the weather in {name}?", derived=(unlikely(perplexity),))
    return replace(one, problem=replace(one.problem, tools=(TOOL,) if tools else ()))


def names(export: object) -> list[str]:
    assert hasattr(export, "rows")
    made: list[str] = []
    for row in rows_of(export):  # type: ignore[arg-type]
        origin = row["provenance"]
        assert isinstance(origin, dict)
        made.append(str(origin["problem"]))
    return sorted(made)


def test_acceptance() -> None:
    """Section 12b: of each kind the hardest 3 in 10, rounded down; pairs differ only after what they share."""
    lot = [searched(f"t{number}", number + 1.0) for number in range(10)]
    lot += [searched(f"n{number}", 100.0 - number, tools=False) for number in range(7)]
    export = exported("itool", *lot)
    assert names(export) == ["n0", "n1", "t7", "t8", "t9"]
    assert export.drops == {"problem is not among the hardest": 12}
    row = rows_of(export)[0]
    chosen, rejected, shared = content(row["chosen"]), content(row["rejected"]), str(row["shared"])
    assert (chosen, rejected) == (CALLS[0], CALLS[1])
    assert shared == 'weather(city="Rome", day=' and chosen[len(shared)] != rejected[len(shared)]
    assert (row["score_chosen"], row["score_rejected"]) == (0.9, 0.1)
    assert export.trainer_settings["loss_type"] == "simpo"


BOUND = 2.5
"""Perplexity above which a problem counts as hard below."""


def explored(name: str, skill: float, draw: random.Random) -> Episode:
    """Return a search of a problem by a model that gets its one parameter right so often; a call is right or wrong."""
    right = [draw.random() < skill for _ in range(16)]
    calls = [
        node(i, f'weather(city="{name}", day={2 if good else 3 + i})', float(good)) for i, good in enumerate(right)
    ]
    one = episode(*calls, name=name, text=f"How is the weather in {name}?", derived=(unlikely(1 / skill),))
    return replace(one, problem=replace(one.problem, tools=(TOOL,)))


def test_three_rounds_shrink_the_hard_subset() -> None:
    """Section 11c: in each round the model is tuned on the pairs of its hardest problems, which are then others."""
    draw = random.Random(11)
    skills = {f"t{number:02}": 0.12 + 0.03 * number for number in range(9)} | {"u0": 0.6, "u1": 0.7, "u2": 0.9}
    hard = [sum(1 / skill > BOUND for skill in skills.values())]
    for _ in range(3):
        export = exported("itool", *(explored(name, skill, draw) for name, skill in skills.items()), share=1.0)
        for row in rows_of(export):
            chosen, rejected, shared = content(row["chosen"]), content(row["rejected"]), str(row["shared"])
            assert chosen == f"{shared}2)" and rejected.startswith(shared) and not rejected.endswith("day=2)")
        tuned = names(export)
        assert len(tuned) == 3 and max(skills[name] for name in tuned) <= min(
            skill for name, skill in skills.items() if name not in tuned
        )
        skills |= {name: (1 + skills[name]) / 2 for name in tuned}
        hard.append(sum(1 / skill > BOUND for skill in skills.values()))
    assert hard == sorted(set(hard), reverse=True), "smaller in every round"


@given(st.lists(st.floats(1, 50), max_size=40), st.floats(0, 1))
def test_nothing_easier_is_taken_for_something_harder(perplexities: list[float], share: float) -> None:
    chosen = hardest(perplexities, share)
    assert len(chosen) in (math.floor(share * len(perplexities)), math.floor(share * len(perplexities) + 1e-9))
    left = [value for place, value in enumerate(perplexities) if place not in chosen]
    assert all(perplexities[place] >= max(left, default=0) for place in chosen)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("itool:share=1,theta=0.8", "values too close"),
        ("itool:share=1,shared=0.95", "too little of the beginning is shared"),
    ],
)
def test_pairs_that_are_none(text: str, reason: str) -> None:
    assert exported(text, searched("a", 2.0)).drops == {reason: 1}
    assert exported("itool:share=1,visits=3", searched("a", 2.0)).total == 0


def test_actions_that_all_pass_make_no_pair() -> None:
    lot = [node(i, f"call {i}", 1.0) for i in range(3)]
    assert exported("itool:share=1", episode(*lot, derived=(unlikely(2.0),))).drops == {"values too close": 1}
    twins = [node(0, "call", 1.0), node(1, "call", 0.0)]
    assert exported("itool:share=1", episode(*twins, derived=(unlikely(2.0),))).drops == {"same action twice": 1}


def test_every_state_has_its_pair() -> None:
    deeper = [node(4, "sunny", 1.0, parent=0), node(5, "rainy", 0.0, parent=0)]
    one = searched("a", 2.0)
    one = replace(one, attempts=(*one.attempts, *deeper))
    rows = rows_of(exported("itool:share=1", one))
    assert [content(row["chosen"]) for row in rows] == [CALLS[0], "sunny"]
    assert exported("itool:share=1,cap=1", one).drops == {"over the cap of its problem": 1}


def test_complexity_out_of_the_log() -> None:
    one = replace(searched("a", 2.0), derived=())
    (row,) = rows_of(exported("itool:share=1,complexity=logged", one))
    assert row["perplexity"] == pytest.approx(math.exp(0.5))
    wrong = replace(one, attempts=tuple(replace(a, scores=()) for a in one.attempts))
    assert exported("itool:share=1,complexity=logged", wrong).drops == {"problem of unknown complexity": 1}


def test_the_warm_up_goes_from_easy_to_hard() -> None:
    lot = [searched(f"t{number}", perplexity) for number, perplexity in enumerate((9.0, 2.0, 5.0, 1.5, 7.0, 3.0))]
    rows = rows_of(exported("itool:form=warm-up", *lot, share=1.0))
    assert [row["perplexity"] for row in rows] == [1.5, 2.0, 3.0, 5.0, 7.0, 9.0]
    assert [row["stage"] for row in rows] == [0, 0, 1, 1, 2, 2]
    assert content(rows[0]["completion"]) == CALLS[0]


def test_gold_responses() -> None:
    one = replace(searched("a", 2.0), derived=(unlikely(2.0, trial=None),))
    assert exported("itool:form=warm-up", one).drops == {"no gold response": 1}
    (row,) = rows_of(exported("itool:form=warm-up", replace(one, gold=Reference(answer="x", solution="Sunny."))))
    assert content(row["completion"]) == "Sunny."
    wrong = replace(searched("a", 2.0), attempts=(attempt(0, solved("b"), correct=False),))
    assert exported("itool:form=warm-up", wrong).drops == {"gold response is not right": 1}


def test_a_run_that_lacks_something_is_told_what_to_collect() -> None:
    with pytest.raises(InputError, match=r"--step perplexity` collects them"):
        exported("itool", replace(searched("a", 2.0), derived=()))
    with pytest.raises(InputError, match=r"--strategy mcts:nodes=step"):
        exported("itool", episode(attempt(0, solved("a"), correct=True), derived=(unlikely(2.0),)))
