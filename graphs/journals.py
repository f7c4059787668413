"""Journals for whoever follows a search: one that streams, one that passes everything on to several.

Streamed events are plain JSON with the problem's id, so that they cross a subgraph or a wire. Writes no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from actorcritic.agent_steps import AgentStep, Judgement, ToolResult
from actorcritic.budget import Spend
from actorcritic.codec import encode
from actorcritic.graphs.session import Journal, ProblemResult
from actorcritic.metering import Call, EnvironmentStep
from actorcritic.trajectory.events import DONE
from actorcritic.types import Critique, Failure, JsonValue, Outcome, Payload, Reward, Role, Solution, Trial

__all__ = ["Numbered", "StreamJournal", "TeeJournal", "go_back", "next_seq_of"]


def _kind_of(trial: Trial, payload: Payload) -> str:
    """Return the name of the event that a trial's payload makes."""
    if isinstance(payload, Solution):
        return DONE[trial.action].value
    if isinstance(payload, Reward):
        return "scored"
    return "critiqued" if isinstance(payload, Critique) else "failed"


class StreamJournal:
    """Hands every event to a LangGraph stream writer as JSON: `{"event", "problem", "trial", ...}`."""

    def __init__(self, write: Callable[[Any], None], problem: str) -> None:
        self._write = write
        self._problem = problem

    def _send(self, event: str, trial: Trial | None, **fields: JsonValue) -> None:
        self._write({"event": event, "problem": self._problem, "trial": None if trial is None else trial.id, **fields})

    def asked(self, trial: Trial) -> None:
        """See `Journal.asked`."""
        self._send("asked", trial, action=trial.action.value, parent=trial.parent)

    def called(self, trial: Trial, call: Call) -> None:
        """See `Journal.called`."""
        self._send("called", trial, role=call.role, model=call.model, usage=encode(call.usage))

    def stepped(self, trial: Trial, step: EnvironmentStep) -> None:
        """See `Journal.stepped`."""
        self._send("stepped", trial, action=step.action, observation=encode(step.observation), replayed=step.replayed)

    def tool_called(self, trial: Trial, step: int, result: ToolResult, by: Role = "actor") -> None:
        """Send what became of a tool call of an agent."""
        self._send(
            "tool_called",
            trial,
            step=step,
            name=result.call.name,
            arguments=result.call.arguments,
            result=result.text,
            status=result.status,
            error=result.error,
            by=by,
        )

    def step_judged(self, trial: Trial, step: AgentStep, judgement: Judgement) -> None:
        """Send what a step critic said."""
        self._send(
            "step_judged",
            trial,
            step=step.index,
            phase=step.phase,
            ruling=judgement.ruling.value,
            explanation=judgement.explanation,
            wrong_step=judgement.step,
            score=judgement.score,
            by=judgement.by,
        )

    def brought(self, trial: Trial, payload: Payload) -> None:
        """See `Journal.brought`."""
        kind = _kind_of(trial, payload)
        if isinstance(payload, Solution):
            steps: list[JsonValue] = [step.text for step in payload.steps]
            self._send(kind, trial, steps=steps, kept=payload.kept, answer=payload.answer, complete=payload.complete)
        elif isinstance(payload, Critique):
            judged: list[JsonValue] = [
                {"verdict": step.verdict.value, "explanation": step.explanation, "score": step.score}
                for step in payload.steps
            ]
            self._send(
                kind,
                trial,
                steps=judged,
                verdict=payload.verdict.value,
                first_error=payload.first_error,
                score=payload.score,
            )
        elif isinstance(payload, Reward):
            self._send(kind, trial, by=payload.by, score=payload.score, steps=list(payload.steps), gold=payload.oracle)
        else:
            self._send(kind, trial, where=payload.where, type=payload.type, message=payload.message)

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        """See `Journal.committed`."""
        self._send("committed", trial, tokens=spend.total.logical_tokens)

    def finished(self, result: ProblemResult) -> None:
        """See `Journal.finished`."""
        self._send("finished", None, answer=result.answer, best=result.best, stopped_by=result.stopped_by)


@runtime_checkable
class Numbered(Protocol):
    """A journal whose events are numbered, so that going back in time shows in its log; see `trajectory.forks`."""

    next_seq: int
    """Number of the next event."""

    def forked(self, after: int) -> None:
        """Hear that what follows goes on from an earlier event, by its number."""
        ...


def go_back(journal: Journal, next_seq: int | None) -> None:
    """Tell a numbered journal that the work goes on where the next event had this number, if it does."""
    if next_seq is not None and isinstance(journal, Numbered) and next_seq < journal.next_seq:
        journal.forked(next_seq - 1)


def next_seq_of(journal: Journal) -> int | None:
    """Return the number of the next event of a numbered journal, or of the first one that a tee passes on to."""
    journals = journal.journals if isinstance(journal, TeeJournal) else (journal,)
    return next((one.next_seq for one in journals if isinstance(one, Numbered)), None)


class TeeJournal:
    """Passes everything on to several journals, in their order."""

    def __init__(self, journals: Sequence[Journal]) -> None:
        self.journals = tuple(journals)

    def asked(self, trial: Trial) -> None:
        """See `Journal.asked`."""
        for journal in self.journals:
            journal.asked(trial)

    def called(self, trial: Trial, call: Call) -> None:
        """See `Journal.called`."""
        for journal in self.journals:
            journal.called(trial, call)

    def stepped(self, trial: Trial, step: EnvironmentStep) -> None:
        """See `Journal.stepped`."""
        for journal in self.journals:
            journal.stepped(trial, step)

    def brought(self, trial: Trial, payload: Payload) -> None:
        """See `Journal.brought`."""
        for journal in self.journals:
            journal.brought(trial, payload)

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        """See `Journal.committed`."""
        for journal in self.journals:
            journal.committed(trial, result, spend)

    def finished(self, result: ProblemResult) -> None:
        """See `Journal.finished`."""
        for journal in self.journals:
            journal.finished(result)
