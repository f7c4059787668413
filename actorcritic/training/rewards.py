"""Rewards for reinforcement learning, as plain functions over lists: one entry per completion, None = cannot be scored.

CRL (arXiv 2509.22824): does a conclusion agree with the label. Critique-RL (2510.24320), stage 1: does a verdict agree
with what is known of the attempt; stage 2: what the frozen actor made of the critique, but -1 where the verdict does
not agree. RefCritic (2507.15024): the verdict, and how often refinements with the critique came out right. SCoRe
(2409.12917): what each of two turns is worth. DeepCritic (2505.00662): is the boxed step the label. Knows no trainer
and no model; of wordings only those two marks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean
from typing import Literal, TypeAlias

from actorcritic.errors import InputError
from actorcritic.export.chat import boxed_answer
from actorcritic.export.recipes.score import ALPHA, turn_returns
from actorcritic.types import Verdict

__all__ = [
    "BONUS",
    "REFINEMENTS",
    "RefinementReward",
    "agrees",
    "boxed_rewards",
    "conclusion",
    "conclusion_rewards",
    "discrimination_rewards",
    "dual_rewards",
    "group_baseline",
    "refinement_rewards",
    "refinement_worth",
    "turn_rewards",
]

RefinementReward: TypeAlias = Literal["refine", "delta", "correct"]
"""What a refinement is worth in stage 2 of Critique-RL: right or not; the change; mended, or kept right."""
REFINEMENTS: tuple[RefinementReward, ...] = ("refine", "delta", "correct")

BONUS = 0.2
"""Critique-RL, stage 2: what a verdict that agrees is worth beside the refinement."""
REFUSED = -1.0
"""Critique-RL: the whole reward of a critique whose verdict does not agree, or cannot be read."""

_CONCLUSION = re.compile(r"\bconclusion[*_ \t]{0,6}:[*_ \t]{0,6}(?P<word>\w+)", re.IGNORECASE)
_WORTH: dict[RefinementReward, dict[tuple[bool, bool], float]] = {
    "refine": {(True, True): 1.0, (True, False): 0.0, (False, True): 1.0, (False, False): 0.0},
    "delta": {(True, True): 0.0, (True, False): -1.0, (False, True): 1.0, (False, False): 0.0},
    "correct": {(True, True): 0.2, (True, False): 0.0, (False, True): 1.0, (False, False): 0.0},
}
"""By kind, then by whether the attempt was right and whether the refinement is."""


def agrees(verdict: Verdict, correct: bool) -> bool:
    """Whether a verdict says of an attempt what is known of it; one that cannot be read never does."""
    return verdict is (Verdict.CORRECT if correct else Verdict.INCORRECT)


def conclusion(text: str) -> Verdict:
    """Read CRL's "Conclusion: True" or "Conclusion: False"; of several the last, unscored where there is none."""
    words = [found["word"].lower() for found in _CONCLUSION.finditer(text)]
    verdicts = {"true": Verdict.CORRECT, "false": Verdict.INCORRECT}
    return verdicts.get(words[-1], Verdict.UNSCORED) if words else Verdict.UNSCORED


def conclusion_rewards(verdicts: Sequence[Verdict | None], label: Sequence[str]) -> list[float | None]:
    """Return CRL's reward of judgements: 1 where the conclusion is the label, else 0, a missing one included.

    Args:
        verdicts: What each completion concludes; None = its row asks for no judgement, so that nothing is said of it.
        label: `True` where the judged solution is right, `False` where it is wrong, anything where none is judged.

    Raises:
        InputError: a judgement has another label.
    """
    rewards: list[float | None] = []
    for verdict, name in zip(verdicts, label, strict=True):
        if verdict is not None and name not in ("True", "False"):
            raise InputError(f"the label of a judgement is {name!r}: it must be 'True' or 'False'")
        rewards.append(None if verdict is None else float(agrees(verdict, name == "True")))
    return rewards


def boxed_rewards(texts: Sequence[str], label: Sequence[int]) -> list[float]:
    """Return DeepCritic's rewards: 1 where the last box of a critique holds the label, else 0.

    Args:
        texts: Critiques; one that was cut off is to be given as an empty text.
        label: Number of the first wrong step, from 1; -1 = none is wrong.
    """
    found = [boxed_answer(text) for text in texts]
    return [float(answer == str(wanted)) for answer, wanted in zip(found, label, strict=True)]


def discrimination_rewards(verdicts: Sequence[Verdict], attempt_correct: Sequence[bool]) -> list[float]:
    """Return Critique-RL's rewards of stage 1: 1 where the verdict agrees, -1 where it does not or cannot be read."""
    pairs = zip(verdicts, attempt_correct, strict=True)
    return [1.0 if agrees(verdict, correct) else REFUSED for verdict, correct in pairs]


def refinement_worth(kind: RefinementReward, before: bool, after: bool) -> float:
    """Return what a refinement is worth in stage 2 of Critique-RL, in [-1, 1].

    Args:
        kind: Which of the three rewards.
        before: Whether the attempt was right.
        after: Whether the refinement is.
    """
    return _WORTH[kind][before, after]


def refinement_rewards(
    verdicts: Sequence[Verdict],
    attempt_correct: Sequence[bool],
    refined: Sequence[bool | None],
    *,
    kind: RefinementReward = "refine",
) -> list[float | None]:
    """Return Critique-RL's rewards of stage 2, in [-1, 1.2].

    Args:
        verdicts: What each critique says of its attempt.
        attempt_correct: Whether the attempt is right.
        refined: Whether the actor's refinement with the critique is right; None = unknown, which a critique whose
            verdict does not agree makes no difference to.
        kind: What a refinement is worth.
    """
    rewards: list[float | None] = []
    for verdict, before, after in zip(verdicts, attempt_correct, refined, strict=True):
        if not agrees(verdict, before):
            rewards.append(REFUSED)
        else:
            rewards.append(None if after is None else refinement_worth(kind, before, after) + BONUS)
    return rewards


def dual_rewards(
    verdicts: Sequence[Verdict],
    attempt_correct: Sequence[bool],
    refined: Sequence[Sequence[bool] | None],
    *,
    weight: float = 1.0,
) -> list[float | None]:
    """Return RefCritic's rewards in [0, 1]: (R_c + lambda * R_r) / (1 + lambda), or R_c alone where nothing is refined.

    R_c is 1 for a verdict that agrees, else 0; R_r the share of right refinements. The second part is for wrong
    attempts that are called wrong, alone: a right attempt called right has 1, a wrong verdict 0.

    Args:
        verdicts: What each critique says of its attempt.
        attempt_correct: Whether the attempt is right.
        refined: Whether each of the actor's refinements with the critique is right; None or empty = unknown.
        weight: Lambda, >= 0.
    """
    rewards: list[float | None] = []
    for verdict, correct, outcomes in zip(verdicts, attempt_correct, refined, strict=True):
        if correct or not agrees(verdict, correct):
            rewards.append(float(agrees(verdict, correct)))
        else:
            rewards.append((1.0 + weight * fmean(outcomes)) / (1.0 + weight) if outcomes else None)
    return rewards


def turn_rewards(
    first: Sequence[float], second: Sequence[float], *, stage: int, alpha: float = ALPHA
) -> tuple[list[float], list[float]]:
    """Return SCoRe's returns of the first and of the second turns, before a baseline is taken off.

    Args:
        first: Rewards of the first attempts, in [0, 1].
        second: Rewards of the second attempts, in [0, 1].
        stage: 1 = the second turn alone counts; 2 = both, with a bonus on the second for progress.
        alpha: Weight of the bonus.
    """
    returns = [turn_returns(one, two, stage=stage, alpha=alpha) for one, two in zip(first, second, strict=True)]
    return [one for one, _ in returns], [two for _, two in returns]


def group_baseline(rewards: Sequence[float], size: int) -> list[float]:
    """Return each reward less the mean of its group of `size` neighbours; not divided by their spread.

    Raises:
        InputError: the rewards do not make up whole groups.
    """
    if size < 1 or len(rewards) % size:
        raise InputError(f"{len(rewards)} rewards are no groups of {size}")
    groups = [rewards[start : start + size] for start in range(0, len(rewards), size)]
    return [reward - fmean(group) for group in groups for reward in group]
