"""One node's work on an agent's turn: opens what the state holds, makes calls within the budget, tells log and stream.

What it changes is in `progress`, which the node puts back into the state. Knows no routing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from actorcritic.agent_steps import Act, AgentStep, Judgement, Ruling, ToolResult
from actorcritic.budget import Ledger, Spend
from actorcritic.errors import BudgetExhausted
from actorcritic.formats.agent import describe_act
from actorcritic.graphs.agent_state import Candidate, Progress, Seen, ToolAgentSettings, find_seen
from actorcritic.graphs.journals import StreamJournal
from actorcritic.graphs.session import ProblemResult
from actorcritic.metering import Call, CallMeter, derive_seed
from actorcritic.observation import Observation
from actorcritic.trajectory.agent_log import ProblemLog
from actorcritic.types import (
    Critique,
    Failure,
    Outcome,
    Payload,
    Problem,
    Role,
    Solution,
    Step,
    StepCritique,
    StopReason,
    Verdict,
)

__all__ = ["AgentWork", "attempt_of", "best_of", "verdict_of"]

T = TypeVar("T")

MOST_CALLS = 64
"""Calls for one purpose that a restart looks for."""


@dataclass(slots=True, kw_only=True)
class AgentWork:
    """A turn at work, within one node. Mutable."""

    problem: Problem
    progress: Progress
    settings: ToolAgentSettings
    log: ProblemLog
    stream: StreamJournal

    def update(self, **changes: object) -> None:
        """Change where the loop stands."""
        self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]

    # --- calls -----------------------------------------------------------------------------------------------------

    def limit(self) -> StopReason | None:
        """Return which limit leaves no room for another call."""
        progress = self.progress
        if progress.seconds_left is not None and progress.seconds_left <= 0:
            return "seconds"
        return Ledger(self.settings.budget, spend=progress.spend).spent_limit()

    async def within(self, role: Role, purpose: str, call: Callable[[CallMeter], Awaitable[T]]) -> T:
        """Make a role's calls within what is left of the budget.

        Raises:
            BudgetExhausted: it ended first.
        """
        progress, settings = self.progress, self.settings
        ledger = Ledger(settings.budget, spend=progress.spend)
        for seen in progress.seen:
            ledger.tree(seen.model).add(seen.ids)
        lease = ledger.lease(0)
        assert lease is not None  # no other lease is open
        seed = derive_seed(settings.seed, progress.content, progress.trial.id, progress.steps, purpose)
        meter = CallMeter(
            lease,
            seed=seed,
            prices=dict(settings.prices),
            past=self._past(role, seed),
            on_call=self._called,
        )
        started = time.monotonic()
        clock = asyncio.timeout(progress.seconds_left)
        try:
            async with clock:
                return await call(meter)
        except TimeoutError:
            if clock.expired():
                raise BudgetExhausted("seconds") from None
            raise
        finally:
            new = [Seen(role=role, model=c.model, ids=c.prompt_ids + c.completion_ids) for c in lease.charges]
            spent = ledger.commit(0)
            self.spend(spent)
            self.pass_time(time.monotonic() - started)
            self.update(seen=find_seen(self.progress.seen, new))

    def _past(self, role: Role, seed: int) -> list[Call]:
        """Return the calls that were made for this very purpose before a restart: its seeds say which."""
        seeds = {derive_seed(seed, role, nth) for nth in range(MOST_CALLS)}
        return [call for call in self.log.calls(self.progress.trial) if call.request.seed in seeds]

    def spend(self, spent: Spend) -> None:
        """Put a spend on the bill."""
        self.update(spend=self.progress.spend.plus(spent), cost=self.progress.cost.plus(spent))

    def pass_time(self, seconds: float) -> None:
        """Take time from what is left."""
        left = self.progress.seconds_left
        if left is not None:
            self.update(seconds_left=max(0.0, left - seconds))

    def pay_tools(self, results: Sequence[ToolResult], role: Role) -> None:
        """Count tool calls that were carried out, and charge what they cost."""
        made = [result for result in results if result.status in ("done", "failed")]
        money = sum(self.settings.tool_prices.get(result.call.name, 0.0) for result in made)
        self.spend(Spend(money=money))
        self.update(tool_calls=self.progress.tool_calls + len(made))
        if role == "actor":
            self.update(actor_calls=self.progress.actor_calls + len(made))

    # --- what is told ----------------------------------------------------------------------------------------------

    def _called(self, call: Call) -> None:
        self.log.called(self.progress.trial, call)
        self.stream.called(self.progress.trial, call)

    def asked(self) -> None:
        """Tell of the attempt at work."""
        if self.log.asked(self.progress.trial):
            self.stream.asked(self.progress.trial)

    def tool_called(self, result: ToolResult, step: int) -> None:
        """Tell of a call of the actor that ended, unless that was told before a restart."""
        if self.log.tool_result(self.progress.trial, step, result.call) is None:
            self.log.tool_called(self.progress.trial, step, result)
            self.stream.tool_called(self.progress.trial, step, result)

    def judged(self, step: AgentStep, judgement: Judgement) -> None:
        """Tell of a judgement that is new, and of what the critic failed of."""
        if judgement.failure is not None:
            self.brought(judgement.failure)
        self.log.step_judged(self.progress.trial, step, judgement)
        for check in judgement.checks:
            self.stream.tool_called(self.progress.trial, step.index, check, "critic")
        self.stream.step_judged(self.progress.trial, step, judgement)

    def failed(self, failure: Failure) -> None:
        """Tell of a failure and keep it for the result."""
        self.update(failures=(*self.progress.failures, failure))
        self.brought(failure)

    def note_judgement(self, judgement: Judgement) -> None:
        """Count a judgement, what it cost in tool calls, and what it failed of; new or recalled."""
        progress = self.progress
        if judgement.failure is not None:
            self.update(failures=(*progress.failures, judgement.failure))
        ruling = judgement.ruling.value
        self.update(
            judgements=(*progress.judgements, judgement),
            rulings={**progress.rulings, ruling: progress.rulings.get(ruling, 0) + 1},
        )
        self.pay_tools(judgement.checks, "critic")

    def brought(self, payload: Payload) -> None:
        """Tell of what the attempt at work brought."""
        if self.log.brought(self.progress.trial, payload):
            self.stream.brought(self.progress.trial, payload)

    def settle(self) -> tuple[Solution, Critique]:
        """End the attempt at work: tell of its steps, what was said of them, and what it cost.

        Of several answers the best one counts.
        """
        progress = self.progress
        answers = [candidate for candidate in progress.candidates if candidate.trial == progress.trial.id]
        best = best_of(answers)
        solution, critique = attempt_of(progress) if best is None else (best.solution, best.critique)
        if solution.steps:
            self.brought(solution)
            self.brought(critique)
        outcome = Outcome(
            complete=solution.complete,
            verdict=critique.verdict,
            first_error=critique.first_error,
            score=critique.score,
            steps=len(solution.steps),
            tokens=progress.cost.total.logical_tokens,
        )
        failed = [failure for failure in progress.failures if failure.where == "actor"]
        told = outcome if solution.steps else failed[-1] if failed else None
        if self.log.committed(progress.trial, told, progress.cost):
            self.stream.committed(progress.trial, told, progress.cost)
        self.update(cost=Spend(), attempts=progress.attempts + 1)
        return solution, critique

    def finished(self, result: ProblemResult) -> None:
        """Tell of the end."""
        if self.log.finished(result):
            self.stream.finished(result)


def best_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the best answer: by verdict, then by score, then the first; None where there is none."""
    ranks = {Verdict.CORRECT: 2, Verdict.UNSCORED: 1, Verdict.INCORRECT: 0}

    def merit(candidate: Candidate) -> tuple[int, float]:
        score = candidate.critique.score
        return ranks[candidate.critique.verdict], -1.0 if score is None else score

    return max(candidates, key=merit, default=None)


def attempt_of(progress: Progress) -> tuple[Solution, Critique]:
    """Return the steps of the attempt at work that count, and what critics said of them.

    What a critic kept from being done is no step of a solution, nor is a message without call or answer.
    """
    act = progress.act
    answer = act if act is not None and not act.calls and act.text.strip() else None
    whole = [*progress.acts, *([] if act is None else [act])]
    places = [place for place, one in enumerate(whole) if one is answer or (one.calls and not one.is_blocked)]
    entries = tuple(_entry(whole, place) for place in places)
    solution = Solution(
        steps=tuple(_step(whole[place]) for place in places),
        answer=None if answer is None else answer.text,
        complete=answer is not None,
        kept=sum(place < progress.kept for place in places),
    )
    verdict = entries[-1].verdict if answer is not None else Verdict.UNSCORED
    if any(entry.verdict is Verdict.INCORRECT for entry in entries):
        verdict = Verdict.INCORRECT
    return solution, Critique(
        steps=entries,
        verdict=verdict,
        explanation=entries[-1].explanation if entries else None,
        score=entries[-1].score if answer is not None else None,
        oracle=any(judgement.oracle for place in places for judgement in whole[place].judgements),
    )


def _step(act: Act) -> Step:
    text = describe_act(replace(act, results=()))
    told = "\n".join(f"{result.call.name}: {result.text}" for result in act.results)
    return Step(text=text, raw=text + "\n", observation=Observation(text=told) if act.results else None)


def _entry(acts: Sequence[Act], place: int) -> StepCritique:
    """Return what critics said of a step: its own judgements, and blocks of later ones that mean this step.

    A block without a step is of calls that were then not carried out; what was carried out beside them is unscored.
    """
    own = [one for one in acts[place].judgements if one.step in (None, place)]
    blamed = [one for act in acts for one in act.judgements if one.ruling is Ruling.BLOCK and one.step == place]
    carried_out = bool(acts[place].calls)
    counted = [one for one in own if not (carried_out and one.ruling is Ruling.BLOCK and one.step is None)]
    said = [one.explanation for one in (blamed or own) if one.explanation]
    scores = [one.score for one in own if one.score is not None]
    return StepCritique(
        verdict=Verdict.INCORRECT if blamed else verdict_of(counted),
        explanation="\n".join(said) or None,
        score=min(scores, default=None),
    )


def verdict_of(judgements: Sequence[Judgement]) -> Verdict:
    """Return what judgements come to: one block is incorrect, a pass without doubt is correct, all else unscored."""
    rulings = {judgement.ruling for judgement in judgements}
    if Ruling.BLOCK in rulings:
        return Verdict.INCORRECT
    return Verdict.CORRECT if rulings == {Ruling.PASS} else Verdict.UNSCORED
