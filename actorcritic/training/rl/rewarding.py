"""Reward functions in TRL's shape, over exported rows: what a completion says is read by the library's own formats.

A function takes `completions`, `completion_ids` and every column of the rows as lists, and returns a number or None
per completion; None where its row is not for it, or where the actor that refines failed. The actor is frozen: an engine
of its own, asked many times at once. The numbers themselves are in `rewards`. Knows no trainer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from actorcritic.actor import ModelActor
from actorcritic.errors import BudgetExhausted, EngineError
from actorcritic.formats.chat import render_critique
from actorcritic.metering import derive_seed, free_meter
from actorcritic.tasks.checkers import verify
from actorcritic.training.rewards import (
    RefinementReward,
    agrees,
    boxed_rewards,
    conclusion,
    conclusion_rewards,
    discrimination_rewards,
    dual_rewards,
    refinement_rewards,
)
from actorcritic.training.rl.rows import Row, said
from actorcritic.types import Critique, Sampling, Verdict

__all__ = ["Judged", "Refiner", "RewardFunction", "Rewards", "boxed", "crl", "discrimination", "dual", "refined"]

Rewards: TypeAlias = list[float | None]
RewardFunction: TypeAlias = Callable[..., Rewards | Awaitable[Rewards]]
_Metric: TypeAlias = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """A critique that was just written, with the row that asked for it."""

    row: Row
    critique: Critique

    @property
    def correct(self) -> bool:
        """Whether the judged attempt is right."""
        return self.row.columns["attempt_correct"] is True

    @property
    def agrees(self) -> bool:
        """Whether the verdict agrees with that."""
        return agrees(self.critique.verdict, self.correct)

    @property
    def useful_to_refine(self) -> bool:
        """Whether a refinement can make a difference: the attempt is wrong, and called wrong."""
        return self.agrees and not self.correct


@dataclass(frozen=True, slots=True, kw_only=True)
class Refiner:
    """A frozen actor that refines attempts with the critiques of them."""

    actor: ModelActor
    sampling: Sampling
    """Temperature 0 for one refinement (Critique-RL)."""
    samples: int = 1
    """Refinements per critique, >= 1."""
    seed: int = 0

    async def outcomes(self, judged: Sequence[Judged]) -> list[list[bool] | None]:
        """Return whether the refinements of each attempt come out right; None where the actor failed.

        Equal critiques of one attempt are refined once, as a group often holds them.
        """
        keys = [self._key(one) for one in judged]
        first: dict[str, Judged] = {}
        for key, one in zip(keys, judged, strict=True):
            first.setdefault(key, one)
        found = await asyncio.gather(*(self._refine(key, one) for key, one in first.items()))
        known = dict(zip(first, found, strict=True))
        return [known[key] for key in keys]

    def _key(self, one: Judged) -> str:
        solution = one.row.attempt
        return "\x1f".join((one.row.problem.text, solution.text, render_critique(solution, one.critique)))

    async def _refine(self, key: str, one: Judged) -> list[bool] | None:
        outcomes: list[bool] = []
        problem, solution = one.row.problem, one.row.attempt
        for sample in range(self.samples):
            meter = free_meter(derive_seed(self.seed, key, sample))
            try:
                made = await self.actor.refine(problem, solution, one.critique, meter=meter, sampling=self.sampling)
            except (EngineError, BudgetExhausted):
                return None
            outcomes.append(await verify(problem, made, one.row.reference) is True)
        return outcomes


def discrimination(ends: Collection[int]) -> RewardFunction:
    """Return Critique-RL's reward of stage 1.

    Args:
        ends: Ids of tokens that end a completion; one without was cut off, and is never a pass.
    """

    def verdict(**columns: Any) -> Rewards:
        judged = _judged(columns, ends)
        _tell_discrimination(columns, judged)
        return [*discrimination_rewards(*_sides(judged))]

    return verdict


def refined(ends: Collection[int], refiner: Refiner, kind: RefinementReward = "refine") -> RewardFunction:
    """Return Critique-RL's reward of stage 2: what the actor makes of the critique, behind the gate of the verdict.

    Deviation: where a critique calls a right attempt right nobody refines, as in this library's own loop: it stays.

    Args:
        ends: See `discrimination`.
        refiner: The frozen actor, greedy.
        kind: What a refinement is worth.
    """

    async def refinement(**columns: Any) -> Rewards:
        judged = _judged(columns, ends)
        _tell_discrimination(columns, judged)
        outcomes = await _refine(columns, judged, refiner)
        after = [
            True if one.agrees and one.correct else None if found is None else found[0]
            for one, found in zip(judged, outcomes, strict=True)
        ]
        return refinement_rewards(*_sides(judged), after, kind=kind)

    return refinement


def dual(ends: Collection[int], refiner: Refiner, weight: float = 1.0) -> RewardFunction:
    """Return RefCritic's reward: the verdict, and the share of right refinements of wrong attempts called wrong.

    Args:
        ends: See `discrimination`.
        refiner: The frozen actor, k samples.
        weight: Lambda, >= 0.
    """

    async def verdict_and_refinements(**columns: Any) -> Rewards:
        judged = _judged(columns, ends)
        _tell_discrimination(columns, judged)
        outcomes = await _refine(columns, judged, refiner)
        return dual_rewards(*_sides(judged), outcomes, weight=weight)

    return verdict_and_refinements


def crl(ends: Collection[int]) -> tuple[RewardFunction, RewardFunction]:
    """Return CRL's two rewards: of solutions for rows of the task `gen`, of conclusions for those of `crl`."""

    def judgement(**columns: Any) -> Rewards:
        texts = [
            None if task != "crl" else conclusion(said(completion)) if _ended(ids, ends) else Verdict.UNSCORED
            for task, completion, ids in zip(
                columns["task"], columns["completions"], columns["completion_ids"], strict=True
            )
        ]
        return conclusion_rewards(texts, columns["label"])

    async def solution(**columns: Any) -> Rewards:
        return await _correct(columns, ends, wanted=[task == "gen" for task in columns["task"]])

    return solution, judgement


def boxed(ends: Collection[int]) -> RewardFunction:
    """Return DeepCritic's reward: whether the last box holds the label."""

    def first_error(**columns: Any) -> Rewards:
        completions = zip(columns["completions"], columns["completion_ids"], strict=True)
        texts = [said(completion) if _ended(ids, ends) else "" for completion, ids in completions]
        return [*boxed_rewards(texts, columns["label"])]

    return first_error


async def _correct(columns: Mapping[str, Any], ends: Collection[int], wanted: Sequence[bool]) -> Rewards:
    async def check(row: Row, completion: object, ids: Sequence[int]) -> float | None:
        solved = row.read_solution(said(completion), complete=_ended(ids, ends))
        right = await verify(row.problem, solved, row.reference)
        return None if right is None else float(right)

    rows = _rows(columns)
    jobs = [
        check(row, completion, ids)
        for row, completion, ids, is_wanted in zip(
            rows, columns["completions"], columns["completion_ids"], wanted, strict=True
        )
        if is_wanted
    ]
    found = iter(await asyncio.gather(*jobs))
    return [next(found) if is_wanted else None for is_wanted in wanted]


async def _refine(columns: Mapping[str, Any], judged: Sequence[Judged], refiner: Refiner) -> list[list[bool] | None]:
    """Return the outcomes of refinements; None where there was nothing to refine, or nobody could."""
    wanted = [one for one in judged if one.useful_to_refine]
    outcomes = await refiner.outcomes(wanted)
    done = [found for found in outcomes if found is not None]
    if wanted:
        _tell(columns, "refine/failed", 1 - len(done) / len(wanted))
    if done:
        _tell(columns, "refine/mended", sum(map(sum, done)) / sum(map(len, done)))
    found = iter(outcomes)
    return [next(found) if one.useful_to_refine else None for one in judged]


def _tell_discrimination(columns: Mapping[str, Any], judged: Sequence[Judged]) -> None:
    """Log how often verdicts agree, apart for right and for wrong attempts, and how often there is none."""
    for name, side in (("right", True), ("wrong", False)):
        found = [one.agrees for one in judged if one.correct is side]
        if found:
            _tell(columns, f"verdict/agrees_{name}", sum(found) / len(found))
    silent = [one.critique.verdict is Verdict.UNSCORED for one in judged]
    _tell(columns, "verdict/unscored", sum(silent) / len(silent))


def _tell(columns: Mapping[str, Any], name: str, value: float) -> None:
    tell: _Metric | None = columns.get("log_metric")
    if tell is not None:
        tell(name, value)


def _sides(judged: Sequence[Judged]) -> tuple[list[Verdict], list[bool]]:
    return [one.critique.verdict for one in judged], [one.correct for one in judged]


def _judged(columns: Mapping[str, Any], ends: Collection[int]) -> list[Judged]:
    """Read every completion as a critique of its row's attempt."""
    return [
        Judged(row, row.read_critique(said(completion), complete=_ended(ids, ends)))
        for row, completion, ids in zip(_rows(columns), columns["completions"], columns["completion_ids"], strict=True)
    ]


def _rows(columns: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a batch from its columns."""
    count = len(columns["completions"])
    lists = {name: values for name, values in columns.items() if isinstance(values, list) and len(values) == count}
    # TRL calls the column of prompts by another name here.
    lists["prompt"] = lists.pop("prompts")
    return [Row({name: values[place] for name, values in lists.items()}) for place in range(count)]


def _ended(ids: Sequence[int], ends: Collection[int]) -> bool:
    return bool(ids) and ids[-1] in ends
