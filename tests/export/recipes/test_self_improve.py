"""Self-improvement: right attempts and right refinements, without the critique; the skill to follow one is kept."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.codec import encode
from actorcritic.errors import InputError
from actorcritic.export.recipes.self_improve import is_shortcut
from actorcritic.export.wordings import EmbeddedWording
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Reference, Solution, Step, StepCritique, Verdict
from tests.export.log import WRONG, attempt, content, episode, exported, rows_of, said, setting_of, solved

BAD = said(WRONG, "It is not six but seven.\n\nConclusion: wrong [END]", (WRONG,))
GOLD = "6 * 7 = 42 because 6 * 5 = 30, 6 * 2 = 12, 30 + 12 = 42"


def refined(trial: int, *made: tuple[Solution, bool]) -> Derived:
    items: list[JsonValue] = [{"solution": encode(s), "correct": right, "incorporates": []} for s, right in made]
    payload: dict[str, JsonValue] = {"critic": "c", "critique": encode(BAD), "actor": "a", "refinements": items}
    return Derived(step="refine", trial=trial, payload=payload)


def worked(one: Episode) -> Episode:
    return replace(one, gold=Reference(answer="42", solution=GOLD))


def explored() -> Episode:
    """One right attempt, one wrong one with refinements of each kind, one right one written after a critique."""
    return episode(
        attempt(0, solved("6 * 7 = 42", answer="42"), correct=True),
        attempt(1, solved("6 * 6 = 36", answer="36"), critique=BAD, correct=False),
        attempt(2, solved("7 * 6 = 42", answer="42"), action=Action.REFINE, parent=1, correct=True),
        derived=(
            refined(
                1,
                (solved("6 * 8 = 48", answer="48"), False),
                (solved("6 + 36 = 42", answer="42"), True),
                (solved("3 * 14 = 42", answer="42"), True),
            ),
        ),
    )


def test_the_critique_is_left_out_and_one_refinement_per_critique_stays() -> None:
    export = exported("self-improve", explored())
    rows = rows_of(export)
    assert [content(row["completion"]) for row in rows] == ["6 * 7 = 42", "7 * 6 = 42", "6 + 36 = 42"]
    assert [row["source"] for row in rows] == ["attempt", "refinement", "refinement"]
    assert {content(row["prompt"]) for row in rows} == {"What is six times seven?"}
    assert export.drops == {"over the reserve of its critique": 1, "wrong": 1, "wrong refinement": 1}
    assert len(rows_of(exported("self-improve:reserve=2", explored()))) == 4


def test_vanilla_self_improvement_is_the_same_without_refinements() -> None:
    rows = rows_of(exported("self-improve:sources=own", explored()))
    assert [content(row["completion"]) for row in rows] == ["6 * 7 = 42"]


def test_the_skill_to_follow_a_critique_is_learnt_from_the_whole_chat() -> None:
    rows = rows_of(exported("self-improve:form=refinement", explored()))
    assert [content(row["completion"]) for row in rows] == ["7 * 6 = 42", "6 + 36 = 42"]
    for row in rows:
        assert isinstance(row["prompt"], list)
        question, tried, request = (str(message) for message in row["prompt"])
        assert "six times seven" in question and "6 * 6 = 36" in tried
        assert "Correctness of the final answer: Wrong" in request
    with pytest.raises(InputError, match="refined after a critique"):
        exported("self-improve:form=refinement", episode(attempt(0, solved("1"), correct=False)))


def test_reasoning_is_the_worked_solution() -> None:
    rows = rows_of(exported("self-improve:form=reasoning", worked(explored())))
    assert [content(row["completion"]) for row in rows] == [GOLD]
    with pytest.raises(InputError, match="worked solutions"):
        exported("self-improve:form=reasoning", explored())


def test_equal_texts_make_one_row() -> None:
    twice = episode(*(attempt(i, solved("6 * 7 = 42", answer="42"), correct=True) for i in range(3)))
    export = exported("self-improve", twice)
    assert export.total == 1 and export.drops == {"same as another row of its problem": 2}
    assert exported("self-improve:cap=1", twice).drops == {"over the cap of its problem": 2}


def test_shortcut_barrier() -> None:
    """Section 1.10 (d): "The answer is 7." is rejected where the worked solution has six numbers."""
    six = "1 + 2 = 3, 3 + 4 = 7"
    assert is_shortcut("The answer is 7.", six, six, 2)
    assert not is_shortcut("1 + 2 + 4 = 7", six, six, 2)
    assert not is_shortcut("The answer is 7.", "I guess 8.", six, 2), "the attempt itself had no more"
    straight = episode(attempt(0, solved(six, answer="8"), correct=False), derived=(refined(0, (solved("42"), True)),))
    assert exported("self-improve", worked(straight)).drops == {"shortcut to the answer": 1, "wrong": 1}
    assert exported("self-improve:barrier=9", worked(straight)).total == 1


@given(st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 9), st.integers(0, 4))
def test_the_barrier_counts_numbers(new: int, old: int, gold: int | None, slack: int) -> None:
    limit = min(old, 9 if gold is None else gold)
    worked_out = None if gold is None else "7 " * gold
    assert is_shortcut("7 " * new, "7 " * old, worked_out, slack) == (new < limit - slack)


def test_the_critic_draws_the_hard_problems_in() -> None:
    """Section 1.10 (c): with the critic, more of the rows come from the problems of least skill."""
    draw = random.Random(0)

    def share_of_the_hard(sources: str) -> float:
        export = exported(f"self-improve:sources={sources}", *found)
        problems = [str(cast("Any", row["provenance"])["problem"]) for row in rows_of(export)]
        return sum(problem.startswith("hard") for problem in problems) / len(problems)

    for _ in range(3):
        found: list[Episode] = []
        for number in range(40):
            skill, name = (0.05, f"hard{number}") if number % 3 == 0 else (0.9, f"easy{number}")
            right = [draw.random() < skill for _ in range(5)]
            tries = [
                attempt(i, solved(f"{name} {i} {'is' if good else 'is not'} 42"), correct=good)
                for i, good in enumerate(right)
            ]
            mended = [
                refined(i, (solved(f"{name} {i} is 42 after all"), draw.random() < 0.5))
                for i, good in enumerate(right)
                if not good
            ]
            found.append(episode(*tries, name=name, text=f"What is {name}?", derived=tuple(mended)))
        assert share_of_the_hard("all") > share_of_the_hard("own") + 0.1


# --- the embedded pair's own words ---------------------------------------------------------------------------------

PAIR = EmbeddedWording()


def lines(*raws: str, kept: int = 0) -> Solution:
    """Return an attempt as the pair writes it: countdown lines with what is left."""
    texts = {"14 / 7 2 13 =11\n": "14 / 7 = 2", "13 + 2 15 ": "13 + 2 = 15", "13 - 2 11 ": "13 - 2 = 11"}
    return Solution(steps=tuple(Step(text=texts[raw], raw=raw) for raw in raws), kept=kept)


def countdown(*, text: str = "Use 7, 13 and 14 to make 11.") -> Episode:
    steps = (
        StepCritique(verdict=Verdict.CORRECT),
        StepCritique(verdict=Verdict.INCORRECT, explanation="unreachable: the target is out of reach"),
    )
    critique = replace(BAD, steps=steps, raw="ok\nunreachable\n")
    wrong = lines("14 / 7 2 13 =11\n", "13 + 2 15 ")
    right = lines("14 / 7 2 13 =11\n", "13 - 2 11 ")
    payload = refined(0, (replace(right, kept=1), True)).payload
    made = Derived(step="refine", trial=0, payload={**payload, "critique": encode(critique)})
    one = episode(
        attempt(0, wrong, correct=False), attempt(1, right, correct=True), text=text, checker="countdown", gold=None,
        derived=(made,),
    )  # fmt: skip
    return replace(one, gold=Reference(solution="14 / 7 = 2\n13 - 2 = 11"))


def own_rows(text: str, one: Episode) -> list[tuple[JsonValue, JsonValue]]:
    from actorcritic.export.pipeline import Order, export_episodes  # noqa: PLC0415 - used here alone

    recipe, setting = setting_of(text, plain=False)
    export = export_episodes([one], Order(recipe=recipe, setting=replace(setting, wording=PAIR), share=1.0))
    return [(row["prompt"], row["completion"]) for row in export.rows["train"]]


def test_the_pair_reads_its_own_words() -> None:
    asked, line = "numbers 7 13 14 =11\n", "14 / 7 2 13 =11\n"
    assert own_rows("self-improve:sources=own", countdown()) == [(asked, f"{line}13 - 2 11 ")]
    refused = f"{asked}{line}reject 13 + 2 15 unreachable\n"
    assert own_rows("self-improve:form=refinement", countdown()) == [(refused, "13 - 2 11 ")]
    assert own_rows("self-improve:form=reasoning", countdown()) == [(asked, f"{line}13 - 2 11 ")]


def test_held_out_problems_are_in_no_row() -> None:
    assert own_rows("self-improve", countdown(text="Use 7, 13 and 14 to make 15.")) == []
