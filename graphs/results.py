"""What came of a problem, as `solve --json` prints it and as graphs hand it to an app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actorcritic.budget import Spend
from actorcritic.graphs.session import ProblemResult
from actorcritic.records import (
    CritiqueRecord,
    FailureRecord,
    ResultRecord,
    SolutionRecord,
    StepCritiqueRecord,
    StepRecord,
    UsageRecord,
    UsagesRecord,
    prompt_record,
)
from actorcritic.types import Critique, Role, Solution

__all__ = ["RunFacts", "record_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What every result of one run says of the run."""

    strategy: str
    seed: int
    width: int
    oracle: bool
    """True where a gold answer or the task's own checker stood behind the critic."""
    budget: Literal["hard", "estimated"]
    """Hard where every engine counts a prompt exactly before it is sent."""
    run: str | None = None
    """The run folder, if there is one."""


def record_of(result: ProblemResult, facts: RunFacts, *, correct: bool | None = None) -> ResultRecord:
    """Return a result as it is printed; `correct` is known only to who holds the gold side."""
    attempt = result.attempt
    return ResultRecord(
        id=result.problem.id,
        problem=prompt_record(result.problem),
        answer=result.answer,
        correct=correct,
        solution=None if attempt is None else _solution(attempt.solution),
        critique=None if attempt is None or attempt.critique is None else _critique(attempt.critique),
        reward=None if attempt is None or attempt.reward is None else attempt.reward.score,
        strategy=facts.strategy,
        attempts=result.attempts,
        usage=_usages(result.spend),
        budget=facts.budget,
        stopped_by=result.stopped_by,
        failures=[FailureRecord(where=f.where, type=f.type, message=f.message) for f in result.failures],
        oracle=facts.oracle,
        seed=facts.seed,
        width=facts.width,
        run=facts.run,
    )


def _solution(solution: Solution) -> SolutionRecord:
    return SolutionRecord(steps=[StepRecord(index=i, text=step.text) for i, step in enumerate(solution.steps)])


def _critique(critique: Critique) -> CritiqueRecord:
    return CritiqueRecord(
        steps=[
            StepCritiqueRecord(index=i, verdict=step.verdict, explanation=step.explanation)
            for i, step in enumerate(critique.steps)
        ],
        first_error=critique.first_error,
        verdict=critique.verdict,
        score=critique.score,
    )


def _usages(spend: Spend) -> UsagesRecord:
    def of(role: Role) -> UsageRecord:
        usage = spend.usage.get(role)
        if usage is None:
            return UsageRecord()
        return UsageRecord(
            calls=usage.calls,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
        )

    return UsagesRecord(
        actor=of("actor"),
        critic=of("critic"),
        reward_model=of("reward_model"),
        total_tokens=spend.total.logical_tokens,
        environment_steps=spend.steps.taken if spend.steps is not None else 0,
        replayed_steps=spend.steps.replayed if spend.steps is not None else 0,
    )
