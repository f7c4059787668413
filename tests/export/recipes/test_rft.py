"""Rejection sampling: cap and dedupe honoured, no hints, nothing from unsolved problems."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.codec import encode
from actorcritic.trajectory.attempts import Derived
from actorcritic.types import Action, JsonValue
from tests.export.log import attempt, content, episode, exported, rows_of, solved


def test_acceptance() -> None:
    """Section 20a: cap and dedupe honoured; rationalised rows carry no hint; unsolved problems absent."""
    hinted = Derived(
        step="rationalise",
        trial=1,
        payload={"solution": encode(solved("6 * 7 = 42 with a hint's help", answer="42")), "correct": True},
    )
    solved_one = episode(
        attempt(0, solved("6 * 7 = 42", answer="42"), correct=True),
        attempt(1, solved("6 * 8 = 48", answer="48"), correct=False),
        attempt(2, solved("so 6*7 = 42.", answer="42"), correct=True),
        attempt(3, solved("3 * 14 = 42", answer="42"), correct=True),
        attempt(4, solved("2 * 21 = 42", answer="42"), correct=True),
        derived=(hinted,),
    )
    unsolved = episode(attempt(0, solved("1", answer="1"), correct=False), name="u", text="Another?")
    export = exported("rft:cap=2,select=first", solved_one, unsolved)
    assert [content(row["completion"]) for row in rows_of(export)] == ["6 * 7 = 42", "3 * 14 = 42"]
    assert export.drops == {
        "over the cap of its problem": 1,
        "problem without a correct solution": 1,
        "same as another solution of its problem": 1,
        "wrong": 2,
    }
    for row in rows_of(exported("rft:sources=all", solved_one, unsolved)):
        assert content(row["prompt"]) == "What is six times seven?"


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=12), st.integers(1, 4))
def test_no_problem_has_more_than_the_cap_and_none_twice(tries: list[tuple[int, bool]], cap: int) -> None:
    attempts = [attempt(i, solved(f"{n} * 7 = {n * 7}"), correct=right) for i, (n, right) in enumerate(tries)]
    for select in ("diverse", "first"):
        export = exported(f"rft:cap={cap},select={select}", episode(*attempts))
        written = [content(row["completion"]) for row in rows_of(export)]
        assert len(written) == len(set(written)) == min(cap, len({n for n, right in tries if right}))


def test_the_diverse_choice_prefers_the_unlike() -> None:
    texts = ("so 6 * 7 = 42 it is", "so 6 * 7 = 42 it surely is", "three times fourteen, 3 * 14 = 42")
    attempts = [attempt(i, solved(text), correct=True) for i, text in enumerate(texts)]
    diverse = rows_of(exported("rft:cap=2,distinct=words", episode(*attempts)))
    assert [content(row["completion"]) for row in diverse] == [texts[0], texts[2]]


def test_words_are_distinct_where_equations_are_not() -> None:
    attempts = [attempt(i, solved(text), correct=True) for i, text in enumerate(("6 * 7 = 42", "Well: 6 * 7 = 42"))]
    assert exported("rft", episode(*attempts)).total == 1
    assert exported("rft:distinct=words", episode(*attempts)).total == 2


@pytest.mark.parametrize("sources", ["own", "all"])
def test_what_was_written_with_a_critique_counts_only_where_asked(sources: str) -> None:
    first = attempt(0, solved("6 * 7 = 24"), correct=False)
    revised = attempt(1, solved("6 * 7 = 42"), correct=True, action=Action.REVISE, parent=0)
    spoken = attempt(2, solved("You pointed out an error: 3 * 14 = 42"), correct=True, action=Action.REFINE, parent=0)
    export = exported(f"rft:sources={sources}", episode(first, revised, spoken))
    assert [content(row["completion"]) for row in rows_of(export)] == (["6 * 7 = 42"] if sources == "all" else [])
    assert ("speaks of help that the prompt does not hold" in export.drops) == (sources == "all")


def test_a_judged_copy_is_no_sample() -> None:
    copied = attempt(1, solved("3 * 14 = 42"), correct=True, action=Action.JUDGE, parent=0)
    assert exported("rft", episode(attempt(0, solved("6 * 7 = 42"), correct=True), copied)).total == 1


def test_all_sources_are_also_what_the_step_refine_wrote() -> None:
    lot: list[JsonValue] = [
        {"solution": encode(solved("6 * 7 = 42", answer="42")), "correct": True, "incorporates": [0.9]},
        {"solution": encode(solved("3 * 14 = 42", answer="42")), "correct": True, "incorporates": []},
        {"solution": encode(solved("6 + 7 = 13", answer="13")), "correct": False, "incorporates": []},
        {"solution": encode(solved("2 * 21 = 42", answer="42")), "correct": None, "incorporates": []},
        {"solution": encode(solved("7 * 6 =", complete=False)), "correct": True, "incorporates": []},
    ]
    made = Derived(step="refine", trial=0, payload={"critic": "c", "actor": "a", "refinements": lot})
    tried = episode(attempt(0, solved("6 * 7 = 42", answer="42"), correct=True), derived=(made,))
    assert len(rows_of(exported("rft", tried))) == 1
    export = exported("rft:sources=all", tried)
    assert [content(row["completion"]) for row in rows_of(export)] == ["6 * 7 = 42", "3 * 14 = 42"]
    assert export.drops == {
        "correctness unknown": 1,
        "same as another solution of its problem": 1,
        "unfinished": 1,
        "wrong": 1,
    }
