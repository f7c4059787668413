"""The journal of one problem: hears of everything that happens to it and records that as events.

It numbers the events and keeps their order. For a resume to be exact the driver must call it so, per trial:
`asked` (the lease taken just before) -> `called` after each call -> `brought` for the solution, the critique, a failure
-> `committed`, in trial order -> and only then tell the policy. Knows no file: that is the recorder's part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, cast

from actorcritic.agent_steps import AgentStep, Judgement, ToolResult
from actorcritic.budget import Spend
from actorcritic.codec import encode
from actorcritic.metering import Call, EnvironmentStep
from actorcritic.search.tree import NodeCount
from actorcritic.trajectory.events import DONE, Event, Kind, call_payload, score_payload, spans
from actorcritic.trajectory.recorder import Recorder
from actorcritic.types import Critique, Failure, JsonValue, Outcome, Payload, Reward, Role, Solution, StopReason, Trial

__all__ = ["Conclusion", "TrajectoryJournal", "record_run_started", "utc_now"]


class Conclusion(Protocol):
    """What came of a problem, as far as the log keeps it."""

    @property
    def best(self) -> int | None:
        """The trial that wrote the answer."""
        ...

    @property
    def answer(self) -> str | None:
        """None where there is none."""
        ...

    @property
    def attempts(self) -> int:
        """How many trials brought a solution."""
        ...

    @property
    def spend(self) -> Spend:
        """Everything charged."""
        ...

    @property
    def stopped_by(self) -> StopReason:
        """Why it ended."""
        ...

    @property
    def failures(self) -> Sequence[Failure]:
        """Whatever went wrong on the way."""
        ...

    @property
    def counts(self) -> Mapping[int, NodeCount]:
        """Visits and mean values by trial, where the strategy counts them."""
        ...


def utc_now() -> str:
    """Return the time as events write it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class TrajectoryJournal:
    """Records one problem. Mutable: it counts its events."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        run: str,
        problem: str,
        next_seq: int = 0,
        now: Callable[[], str] = utc_now,
    ) -> None:
        """Make the journal of a problem.

        Args:
            recorder: Where the events go.
            run: Id of the run.
            problem: Id of the problem.
            next_seq: Number of the first event; where a run goes on, one more than the log's last.
            now: Gives the time.
        """
        self.next_seq = next_seq
        self._recorder = recorder
        self._run = run
        self._problem = problem
        self._now = now

    def note(self, kind: Kind, trial: Trial | None = None, payload: Mapping[str, JsonValue] | None = None) -> None:
        """Record any event: a tool call, a limit that was met, an interruption."""
        self._record(kind, None if trial is None else trial.id, None if trial is None else trial.parent, payload or {})

    def _record(self, kind: Kind, trial: int | None, parent: int | None, payload: Mapping[str, JsonValue]) -> None:
        event = Event(
            kind=kind,
            run=self._run,
            problem=self._problem,
            seq=self.next_seq,
            trial=trial,
            parent=parent,
            time=self._now(),
            payload=payload,
        )
        self._recorder.record(event)
        self.next_seq += 1

    def started(self, config: Mapping[str, JsonValue] | None = None) -> None:
        """Record that work on the problem begins, or goes on after an interruption; the first event of either."""
        self.note(Kind.PROBLEM_STARTED, payload={"config": dict(config or {})})

    def forked(self, after: int) -> None:
        """Record that what follows goes on from an earlier event, by its number (-1 = the beginning)."""
        self.note(Kind.FORKED, payload={"after": after})

    def asked(self, trial: Trial) -> None:
        """Record a trial before its first call."""
        self.note(Kind.ASKED, trial, {"trial": encode(trial)})

    def called(self, trial: Trial, call: Call) -> None:
        """Record a call that ended."""
        self.note(Kind.CALLED, trial, call_payload(call))

    def stepped(self, trial: Trial, step: EnvironmentStep) -> None:
        """Record a step in an environment that ended."""
        self.note(Kind.STEPPED, trial, cast("dict[str, JsonValue]", encode(step)))

    def tool_called(self, trial: Trial, step: int, result: ToolResult, by: Role = "actor") -> None:
        """Record a tool call of an agent that ended, or was refused."""
        self.note(
            Kind.TOOL_CALLED,
            trial,
            {
                "name": result.call.name,
                "arguments": result.call.arguments,
                "result": result.text,
                "step": step,
                "id": result.call.id,
                "status": result.status,
                "error": result.error,
                "length": result.length,
                "seconds": result.seconds,
                "by": by,
            },
        )

    def step_judged(self, trial: Trial, step: AgentStep, judgement: Judgement) -> None:
        """Record what a step critic said of an agent's step."""
        shown: dict[str, JsonValue] = {"step": step.index, "phase": step.phase, "of": step.digest}
        self.note(Kind.STEP_JUDGED, trial, {**shown, "judgement": encode(judgement)})

    def brought(self, trial: Trial, payload: Payload) -> None:
        """Record what a trial brought forth."""
        if isinstance(payload, Solution):
            self.note(DONE[trial.action], trial, {"solution": encode(payload), "spans": spans(payload)})
        elif isinstance(payload, Critique):
            self.note(Kind.CRITIQUED, trial, {"critique": encode(payload)})
        elif isinstance(payload, Reward):
            self.note(Kind.SCORED, trial, score_payload(payload))
        else:
            self.note(Kind.FAILED, trial, {"failure": encode(payload)})

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        """Record a settled trial and what it was charged; None = it was cancelled."""
        payload: dict[str, JsonValue] = {"spend": encode(spend)}
        if isinstance(result, Outcome):
            payload["outcome"] = encode(result)
        elif result is not None:
            payload["failure"] = encode(result)
        self.note(Kind.COMMITTED, trial, payload)

    def scored(self, trial: int, *, by: str, score: float, gold: bool) -> None:
        """Record what somebody says of a settled trial, such as the task's checker after the search.

        Args:
            trial: Which one.
            by: Who says it: `checker:NAME` ...
            score: In [0, 1], 1 = certainly correct.
            gold: Whether a gold answer or the task's own checker stands behind it.
        """
        self._record(Kind.SCORED, trial, None, {"by": by, "score": score, "gold": gold})

    def interrupted(self, reason: str) -> None:
        """Record that the work broke off, to be taken up later."""
        self.note(Kind.INTERRUPTED, payload={"reason": reason})

    def finished(self, result: Conclusion) -> None:
        """Record the end."""
        if result.stopped_by in ("tokens", "calls", "steps", "seconds", "money"):
            self.note(Kind.BUDGET, payload={"limit": result.stopped_by})
        counts = sorted(result.counts.items())
        tree: dict[str, JsonValue] = {
            "trials": [trial for trial, _ in counts],
            "visits": [count.visits for _, count in counts],
            "values": [count.value for _, count in counts],
        }
        self.note(
            Kind.FINISHED,
            payload={
                "best": result.best,
                "answer": result.answer,
                "stopped_by": result.stopped_by,
                "attempts": result.attempts,
                "spend": encode(result.spend),
                "failures": [encode(failure) for failure in result.failures],
                **({"tree": tree} if counts else {}),
            },
        )


def record_run_started(
    recorder: Recorder, *, run: str, config: Mapping[str, JsonValue], seq: int = 0, now: Callable[[], str] = utc_now
) -> None:
    """Record that a run begins: an event that belongs to no problem."""
    event = Event(kind=Kind.RUN_STARTED, run=run, seq=seq, time=now(), payload={"config": dict(config)})
    recorder.record(event)
