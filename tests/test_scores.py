"""Scores from outside: what is a score, what is refused, and that the message names the range."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from actorcritic.critic import FunctionCritic
from actorcritic.errors import InputError
from actorcritic.metering import free_meter
from actorcritic.scores import checked_critique, checked_reward, read_score
from actorcritic.types import Critique, Problem, Reward, Solution, Step, StepCritique, Verdict

PROBLEM = Problem(id="p", prompt="?")
TWO = Solution(steps=(Step(text="a"), Step(text="b")))
RANGE = r"a score is a number in \[0, 1\]"

WRONG = (1.01, -0.1, 5, math.nan, math.inf, "0.5", b"1", object(), [0.5], 10**400)


class Half:
    """A number of a library that this one does not know."""

    def __float__(self) -> float:
        return 0.5


def critique(score: Any = 0.5, step: Any = 0.5, verdict: Any = Verdict.CORRECT, steps: int = 2) -> Critique:
    return Critique(steps=(StepCritique(verdict=verdict, score=step),) * steps, verdict=Verdict.CORRECT, score=score)


@pytest.mark.parametrize("raw", [0, 1, True, False, 0.25, Decimal("0.5"), Fraction(1, 3), Half()])
def test_every_kind_of_number_is_a_score(raw: Any) -> None:
    score = read_score(raw, "it gave")
    assert type(score) is float and score == float(raw)
    read = checked_critique(critique(score=raw, step=raw), TWO)
    assert read == critique(score=score, step=score) and type(read.score) is type(read.steps[1].score) is float
    assert checked_reward(Reward(score=raw, steps=(None, raw)), TWO, "it") == Reward(score=score, steps=(None, score))


def test_none_is_unscored_and_what_is_right_is_left_alone() -> None:
    said = critique(score=None, step=None)
    assert read_score(None, "it gave") is None and checked_critique(said, TWO) is said


@pytest.mark.parametrize("raw", WRONG)
def test_anything_else_is_refused_in_one_line_that_names_the_range(raw: Any) -> None:
    with pytest.raises(InputError, match=f"^it gave .*: {RANGE}") as refused:
        read_score(raw, "it gave")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 200
    for wrong in (critique(score=raw), critique(step=raw)):
        with pytest.raises(InputError, match=f"the critic gave .*: {RANGE}"):
            checked_critique(wrong, TWO)
    for reward in (Reward(score=raw), Reward(score=0.5, steps=(0.5, raw))):
        with pytest.raises(InputError, match=f"mine gave .*: {RANGE}"):
            checked_reward(reward, TWO, "mine")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (0.5, "returned 0.5: return a Critique"),
        (None, "returned None: return a Critique"),
        (critique(steps=1), "judged 1 steps of 2: return one entry per step"),
        (critique(verdict="correct"), "gave the verdict 'correct': use one of correct, incorrect, unscored"),
        (critique(score=5.0), f"gave 5.0: {RANGE}"),
    ],
)
async def test_what_is_no_critique_is_refused(said: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^the critic {message}"):
        await FunctionCritic(lambda problem, solution: said).critique(PROBLEM, TWO, meter=free_meter())


def test_what_is_no_reward_is_refused() -> None:
    with pytest.raises(InputError, match=r"^mine returned 0\.5: return a Reward"):
        checked_reward(0.5, TWO, "mine")
    with pytest.raises(InputError, match=r"^mine scored 1 steps of 2: return one score per step"):
        checked_reward(Reward(score=0.5, steps=(0.5,)), TWO, "mine")
