"""Exploring expert failures: the actions that turn a student's failure into a success are learnt, no others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.codec import encode
from actorcritic.export.recipes.eef import beneficial
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Solution
from tests.export.log import Words, attempt, episode, exported, rows_of, solved

EXPERT = [f"a{place}" for place in range(6)]


def student(at: int) -> Solution:
    return solved(*EXPERT[:at], *(f"b{place}" for place in range(at, 6)), kept=at)


def state(at: int, *won: bool, faithful: bool = True, solution: Solution | None = None) -> JsonValue:
    written = encode(solution or student(at))
    return {"at": at, "faithful": faithful, "rollouts": [{"solution": written, "correct": one} for one in won]}


def simulated(*states: JsonValue, every: int = 2) -> Derived:
    payload: dict[str, JsonValue] = {"student": "s", "every": every, "states": list(states)}
    return Derived(step="resimulate", trial=0, payload=payload)


def failed(*derived: Derived, name: str = "p") -> Episode:
    return episode(attempt(0, solved(*EXPERT), correct=False), derived=derived, name=name)


def turns(row: object) -> tuple[list[str], list[bool]]:
    """Return the actions of a row and whether each is learnt."""
    assert isinstance(row, dict)
    return [message["content"] for message in row["messages"] if message["role"] == "assistant"], row["train_turns"]


def test_acceptance() -> None:
    """Section 10: six states, the student wins from the fourth on, l = 2: only a2 and a3 are kept, all are context."""
    chain = failed(simulated(*(state(at, at >= 4) for at in (0, 2, 4))))
    segment, continuation = rows_of(exported("eef:form=turns", chain))
    assert segment["kind"] == "segment"
    assert turns(segment) == (EXPERT, [False, False, True, True, False, False])
    assert continuation["kind"] == "continuation"
    assert turns(continuation) == ([*EXPERT[:4], "b4", "b5"], [False] * 4 + [True] * 2)

    tokenizer = Words()
    row = rows_of(exported("eef", chain, tokenizer=tokenizer))[0]
    words = {number: word for word, number in tokenizer.ids.items()}
    ids, labels = row["input_ids"], row["labels"]
    assert isinstance(ids, list) and isinstance(labels, list)
    assert [words[number] for number in ids if isinstance(number, int)][-7:] == [*EXPERT, "<end>"]
    assert [words[label] for label in labels if isinstance(label, int) and label != -100] == ["a2", "a3"]


@pytest.mark.parametrize(
    ("won", "found"),
    [
        ("0011", [range(2, 4)]),
        ("0101", [range(0, 2), range(4, 6)]),
        ("1111", []),
        ("1000", []),
        ("0", []),
        ("", []),
    ],
)
def test_what_is_beneficial(won: str, found: list[range]) -> None:
    assert beneficial([(2 * place, one == "1") for place, one in enumerate(won)], 2) == found


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 4))
def test_every_beneficial_segment_turns_a_failure_into_a_success(won: Sequence[bool], every: int) -> None:
    outcomes = [(place * every, one) for place, one in enumerate(won)]
    known = dict(outcomes)
    found = beneficial(outcomes, every)
    assert all(not known[steps.start] and known[steps.stop] and len(steps) == every for steps in found)
    assert len(found) == sum(not one and other for one, other in pairwise(won))


def test_nothing_is_known_across_a_state_that_is_missing() -> None:
    assert beneficial([(0, False), (4, True)], 2) == []
    unfaithful = failed(simulated(state(0, False), state(2, True, faithful=False), state(4, True)))
    export = exported("eef:form=turns", unfaithful)
    assert [row["kind"] for row in rows_of(export)] == ["recovery"]
    assert export.drops == {"no beneficial segment": 1, "replayed state differs": 1, "student failed": 1}


def test_one_of_several_rollouts_is_enough() -> None:
    export = exported("eef:form=turns", failed(simulated(state(0, False, False), state(2, False, True))))
    assert [row["kind"] for row in rows_of(export)] == ["segment", "continuation"]
    assert export.drops == {"student failed": 3}


def test_the_student_s_successes_are_learnt_from_where_it_began() -> None:
    rows = rows_of(exported("eef:form=turns", failed(simulated(state(0, True), state(2, True)))))
    assert [(row["kind"], turns(row)[1]) for row in rows] == [
        ("recovery", [False] * 2 + [True] * 4),
        ("self", [True] * 6),
    ]


def test_a_rollout_that_did_not_go_on_from_the_state_is_left_out() -> None:
    elsewhere = state(2, True, solution=solved("c0", "c1", "c2", kept=2))
    nothing_new = state(4, True, solution=solved(*EXPERT[:4], kept=4))
    cut = state(2, True, solution=solved(*EXPERT[:2], "b", complete=False, kept=2))
    export = exported("eef:form=turns", failed(simulated(state(0, True), elsewhere), simulated(nothing_new, cut)))
    assert [row["kind"] for row in rows_of(export)] == ["self"]
    assert export.drops == {"does not go on from the expert's steps": 3, "no beneficial segment": 2}


def test_expert_attempts_that_succeed_are_learnt_whole() -> None:
    one = episode(
        attempt(0, solved(*EXPERT), correct=False),
        attempt(1, solved("c0", "c1"), correct=True),
        attempt(2, solved("c0", "c1"), correct=True),
        attempt(3, solved("d"), correct=True, action=Action.REVISE, parent=0),
        attempt(4, solved("e")),
        attempt(5, None),
        derived=(simulated(state(0, False), state(2, True)),),
    )
    export = exported("eef:form=turns", one)
    assert [(row["kind"], turns(row)[1]) for row in rows_of(export)][-1] == ("expert", [True, True])
    assert export.drops == {
        "correctness unknown": 1,
        "failed or cancelled": 1,
        "same as another row of its problem": 1,
        "student failed": 1,
        "written after a critique": 1,
    }


def test_a_cap_keeps_what_only_simulation_finds() -> None:
    many = [attempt(number, solved(f"way {number}"), correct=True) for number in range(1, 6)]
    chain = simulated(state(0, False), state(2, True))
    one = episode(attempt(0, solved(*EXPERT), correct=False), *many, derived=(chain,))
    export = exported("eef:form=turns,cap=3", one)
    assert [row["kind"] for row in rows_of(export)] == ["segment", "continuation", "expert"]
    assert export.drops["over the cap of its problem"] == 4


def test_a_failure_that_nobody_went_on_from_is_left_out() -> None:
    export = exported("eef:form=turns", failed(), failed(simulated(state(0, True)), name="q"))
    assert export.drops["failed, and nobody went on from it"] == 1
