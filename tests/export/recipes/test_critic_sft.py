"""Critic data: critiques that agree with what is known, and with which a fixed actor mends the solution."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from actorcritic.codec import encode
from actorcritic.errors import InputError
from actorcritic.trajectory.attempts import Derived, EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Critique, JsonValue, Solution
from tests.export.log import RIGHT, UNSCORED, WRONG, attempt, content, episode, exported, rows_of, said, solved

BAD = solved("6 * 6 = 36", "36 + 5 = 41", answer="41")


def refine(trial: int, critique: Critique, *right: bool | None, actor: str = "a") -> Derived:
    made: list[JsonValue] = [{"solution": encode(solved("x")), "correct": one, "incorporates": []} for one in right]
    payload: dict[str, JsonValue] = {"critic": "c", "critique": encode(critique), "actor": actor, "refinements": made}
    return Derived(step="refine", trial=trial, payload=payload)


def flawed(source: str, at: int | None, critique: Critique, *, refined: int = 10, successes: int = 5) -> Derived:
    solution = solved("6 * 7 = 43", answer="43")
    return Derived(
        step="flawed-critique",
        trial=0,
        payload={
            "by": "teacher",
            "source": source,
            "solution": encode(solution),
            "first_bad_step": at,
            "critique": encode(critique),
            "actor": "a",
            "refined": refined,
            "successes": successes,
        },
    )


def good(trial: int = 0) -> EpisodeAttempt:
    return attempt(trial, solved("6 * 7 = 42", answer="42"), correct=True, critique=said(RIGHT, "Fine.", (RIGHT,)))


def bad(critique: Critique | None, trial: int = 1, solution: Solution = BAD) -> EpisodeAttempt:
    return attempt(trial, solution, correct=False, critique=critique)


USEFUL = said(WRONG, "Useful.", (WRONG, WRONG))


def test_acceptance() -> None:
    """Section 19: a critique stays if its verdict is right and enough refinements with it are."""
    useless, flipped = said(WRONG, "Useless.", (RIGHT, WRONG)), said(RIGHT, "Well done.", (RIGHT, RIGHT))
    events = (
        refine(1, USEFUL, True, True, False),
        refine(1, useless, True, False, False, False),
        refine(1, flipped, True, True),
    )
    export = exported("critic-sft", episode(good(), bad(USEFUL), derived=events))
    rows = rows_of(export)
    assert [(row["verdict"], row["refined"], row["successes"]) for row in rows] == [("right", 0, 0), ("wrong", 3, 2)]
    assert export.drops == {"too few refinements come out right": 1, "verdict contradicts the gold side": 1}
    assert content(rows[1]["completion"]) == (
        "Step 1\nStep sentence: 6 * 6 = 36\nCorrectness of the step: Wrong\nExplanation: Step 0: incorrect.\n\n"
        "Correctness of the final answer: Wrong"
    )
    assert "6 * 6 = 36" in content(rows[1]["prompt"]) and "Useful" not in content(rows[1]["prompt"])


def kept_share(mends: float, tries: int = 600) -> float:
    """Return how often the soft filter keeps a critique with which a refinement comes out right so often, N = 10."""
    draw = random.Random(f"{mends}")
    outcomes = [[draw.random() < mends for _ in range(10)] for _ in range(tries)]
    lot = [
        episode(bad(USEFUL), derived=(refine(1, USEFUL, *right),), name=f"p{number}", text=f"What is {number}?")
        for number, right in enumerate(outcomes)
    ]
    return exported("critic-sft:tau=0.3", *lot, share=1.0).total / tries


def test_acceptance_of_the_soft_filter() -> None:
    """Section 1.10 (a): N = 10, k = 3 keeps what mends 4 in 5 in over 99 % and what mends 1 in 20 in under 2 %."""
    assert kept_share(0.8) > 0.99
    assert kept_share(0.05) < 0.02


@pytest.mark.parametrize(("tau", "kept"), [(0.2, 1), (0.25, 1), (0.3, 0)])
def test_the_threshold(tau: float, kept: int) -> None:
    one = episode(bad(USEFUL), derived=(refine(1, USEFUL, True, False, False, False, None),))
    assert exported(f"critic-sft:tau={tau}", one).total == kept


def test_refining_models_count_alike() -> None:
    events = (refine(1, USEFUL, *[False] * 9), refine(1, USEFUL, True, actor="b"))
    assert exported("critic-sft:tau=0.5", episode(bad(USEFUL), derived=events)).total == 1
    assert exported("critic-sft:tau=0.6", episode(bad(USEFUL), derived=events)).total == 0


def test_refinements_of_the_run_count() -> None:
    child = attempt(2, solved("42"), correct=True, action=Action.REVISE, parent=1)
    (row,) = rows_of(exported("critic-sft", episode(bad(USEFUL), child)))
    provenance = row["provenance"]
    assert (row["refined"], row["successes"]) == (1, 1)
    assert isinstance(provenance, dict) and provenance["attempts"] == [1, 2]


@pytest.mark.parametrize("soft", ["required", "if-known", "off"])
def test_critiques_that_nobody_refined_with(soft: str) -> None:
    useless = said(WRONG, "Useless.", (RIGHT, WRONG))
    one = episode(bad(USEFUL), derived=(refine(1, useless, False), refine(1, USEFUL)))
    export = exported(f"critic-sft:soft={soft}", one)
    assert export.total == {"required": 0, "if-known": 1, "off": 2}[soft]
    assert export.drops.get("nobody refined with it") == (1 if soft == "required" else None)


@pytest.mark.parametrize(
    ("critique", "reason"),
    [
        (said(UNSCORED, "Hm."), "critique without a readable verdict"),
        (said(WRONG, "Bad."), "calls the solution wrong and no step"),
        (said(WRONG, "Bad.", (UNSCORED, WRONG)), "steps without a verdict"),
        (said(RIGHT, "Good."), "verdict contradicts the gold side"),
    ],
)
def test_critiques_that_cannot_be_learnt(critique: Critique, reason: str) -> None:
    assert exported("critic-sft:soft=off", episode(bad(critique))).drops == {reason: 1}


def test_critiques_of_right_solutions_have_to_hold_together() -> None:
    one = attempt(0, solved("a", "b"), correct=True, critique=said(RIGHT, "Good.", (RIGHT, WRONG)))
    two = attempt(1, solved("a", "c"), correct=True, critique=said(RIGHT, "Good.", (RIGHT,)))
    drops = exported("critic-sft:soft=off", episode(one, two)).drops
    assert drops == {"calls the solution right and a step wrong": 1, "steps without a verdict": 1}


def test_all_steps_or_those_up_to_the_first_error() -> None:
    text = [
        content(rows_of(exported(f"critic-sft:soft=off,steps={steps}", episode(bad(USEFUL))))[0]["completion"])
        for steps in ("until-error", "all")
    ]
    assert [one.count("Step sentence") for one in text] == [1, 2]


def test_flawed_solutions_that_were_made_on_purpose() -> None:
    found, missed = said(WRONG, "There.", (WRONG,)), said(WRONG, "Elsewhere.", (RIGHT, WRONG))
    events = (
        flawed("detail", 0, found),
        flawed("location", 0, missed),
        flawed("response", None, found, successes=2),
        flawed("location", 0, found, refined=0, successes=0),
    )
    export = exported("critic-sft", episode(good(), derived=events))
    rows = rows_of(export)
    assert [(row["source"], row["critic"]) for row in rows] == [("attempt", "critic"), ("detail", "teacher")]
    assert "6 * 7 = 43" in content(rows[1]["prompt"])
    assert export.drops == {
        "finds another error than the one that was made": 1,
        "nobody refined with it": 1,
        "too few refinements come out right": 1,
    }


def test_both_verdicts_stay_in_balance() -> None:
    many = [bad(said(WRONG, "No.", (WRONG,)), number, solved(f"{number} = 0", answer="0")) for number in range(1, 8)]
    one: Episode = episode(good(), *many)
    for ratio, wrong in ((1.0, 1), (2.0, 2), (10.0, 7)):
        export = exported(f"critic-sft:soft=off,ratio={ratio}", one)
        assert Counter(str(row["verdict"]) for row in rows_of(export)) == {"right": 1, "wrong": wrong}
    chosen = {str(rows_of(exported("critic-sft:soft=off,ratio=1", one, seed=seed))) for seed in range(6)}
    assert len(chosen) > 1


def test_a_run_without_refinements_is_told_to_collect_them() -> None:
    with pytest.raises(InputError, match=r"--step refine` collects them"):
        exported("critic-sft", episode(bad(USEFUL)))
