"""The log of an agent: writes its events, and on a restart gives back what is in it already.

A thread's conversation up to the agent's turn is one problem. Whoever runs the agent on it again asks here before every
model call, tool call and judgement, so that none that had finished is made twice. A call that was under way when the
process died has no event: it is made again. Knows no graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from actorcritic.agent_steps import AgentStep, Judgement, ToolResult
from actorcritic.budget import Spend
from actorcritic.codec import decode
from actorcritic.errors import RecordError
from actorcritic.metering import Call
from actorcritic.trajectory.attempts import LoggedJudgement, LoggedToolCall
from actorcritic.trajectory.events import DONE, Event, Kind, read_call
from actorcritic.trajectory.index import EventIndex
from actorcritic.trajectory.journal import Conclusion, TrajectoryJournal, record_run_started, utc_now
from actorcritic.trajectory.reader import read_facts, read_problems
from actorcritic.trajectory.recorder import (
    RUN,
    FileRecorder,
    MemoryRecorder,
    NullRecorder,
    Recorder,
    add_problem,
    create_run,
)
from actorcritic.types import Critique, Failure, JsonValue, Outcome, Payload, Problem, Role, Solution, ToolCall, Trial

__all__ = ["AgentLog", "AgentPast", "ProblemLog"]

MOST_OPEN = 1_000
"""Problems that are held in memory; of the others the log is read again, should they go on."""
CONFIG: dict[str, JsonValue] = {"graph": "tool_agent"}
"""What the run folder of an agent says of itself."""


@dataclass(slots=True, kw_only=True)
class AgentPast:
    """What the log knows of a problem. Mutable while it is read."""

    next_seq: int = 0
    calls: dict[int, list[Call]] = field(default_factory=dict[int, list[Call]])
    """Finished model calls by trial."""
    tools: list[tuple[int, LoggedToolCall]] = field(default_factory=list[tuple[int, LoggedToolCall]])
    """The actor's, with their trials."""
    judgements: list[tuple[int, LoggedJudgement]] = field(default_factory=list[tuple[int, LoggedJudgement]])
    said: set[tuple[Kind, int | None]] = field(default_factory=set[tuple[Kind, int | None]])
    """What of that which happens to a trial once is in the log."""

    def read(self, event: Event) -> None:
        """Take in an event."""
        self.next_seq = event.seq + 1
        if event.kind in DONE.values() or event.kind in (Kind.ASKED, Kind.CRITIQUED, Kind.COMMITTED, Kind.FINISHED):
            self.said.add((event.kind, event.trial))
        if event.trial is None:
            return
        if event.kind is Kind.CALLED:
            call = read_call(event.payload)
            if call.generation is not None:
                self.calls.setdefault(event.trial, []).append(call)
        elif event.kind is Kind.TOOL_CALLED:
            self.tools.append((event.trial, decode(LoggedToolCall, dict(event.payload))))
        elif event.kind is Kind.STEP_JUDGED:
            self.judgements.append((event.trial, decode(LoggedJudgement, dict(event.payload))))


class ProblemLog:
    """The log of one problem: records what is new and recalls what is not. Mutable; hears all that a `Journal` hears.

    Each method that records returns whether its event was new.
    """

    def __init__(self, journal: TrajectoryJournal, past: AgentPast, config: Mapping[str, JsonValue]) -> None:
        self._log = journal
        self._past = past
        self._config = config
        self._started = False
        self._interrupted = False

    @property
    def _journal(self) -> TrajectoryJournal:
        """The journal, which hears first that work begins or goes on: where all is recalled, nothing is written."""
        if not self._started:
            self._started = True
            self._log.started(self._config)
            self._past.said.discard((Kind.FINISHED, None))
        return self._log

    def calls(self, trial: Trial) -> Sequence[Call]:
        """Return the model calls that a trial had finished."""
        return self._past.calls.get(trial.id, ())

    def tool_result(self, trial: Trial, step: int, call: ToolCall) -> ToolResult | None:
        """Return what became of this very tool call of the actor; None where it has not ended."""
        for of, logged in self._past.tools:
            same = (of, logged.step, logged.id, logged.by) == (trial.id, step, call.id, "actor")
            if same and (logged.name, logged.arguments) == (call.name, call.arguments):
                return ToolResult(
                    call=call,
                    text=str(logged.result),
                    status=logged.status,
                    error=logged.error,
                    length=logged.length or 0,
                    seconds=logged.seconds or 0.0,
                )
        return None

    def judgement(self, trial: Trial, step: AgentStep, by: str) -> Judgement | None:
        """Return what this critic said of this very step; None where it has not."""
        wanted = (trial.id, step.index, step.phase, step.digest, by)
        for of, logged in self._past.judgements:
            if (of, logged.step, logged.phase, logged.of, logged.judgement.by) == wanted:
                return logged.judgement
        return None

    def asked(self, trial: Trial) -> bool:
        """See `Journal.asked`."""
        return self._once(Kind.ASKED, trial, lambda: self._journal.asked(trial))

    def called(self, trial: Trial, call: Call) -> None:
        """See `Journal.called`; a recalled call does not come here."""
        self._journal.called(trial, call)
        if call.generation is not None:
            self._past.calls.setdefault(trial.id, []).append(call)

    def tool_called(self, trial: Trial, step: int, result: ToolResult, by: Role = "actor") -> None:
        """Record a tool call that ended; a recalled one does not come here."""
        self._journal.tool_called(trial, step, result, by)
        if by == "actor":
            self._past.tools.append((trial.id, _logged(result, step)))

    def step_judged(self, trial: Trial, step: AgentStep, judgement: Judgement) -> None:
        """Record a judgement with the tool calls behind it; a recalled one does not come here."""
        for check in judgement.checks:
            self._journal.tool_called(trial, step.index, check, "critic")
        self._journal.step_judged(trial, step, judgement)
        logged = LoggedJudgement(step=step.index, phase=step.phase, judgement=judgement, of=step.digest)
        self._past.judgements.append((trial.id, logged))

    def brought(self, trial: Trial, payload: Payload) -> bool:
        """See `Journal.brought`."""
        if isinstance(payload, Solution):
            return self._once(DONE[trial.action], trial, lambda: self._journal.brought(trial, payload))
        if isinstance(payload, Critique):
            return self._once(Kind.CRITIQUED, trial, lambda: self._journal.brought(trial, payload))
        self._journal.brought(trial, payload)
        return True

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> bool:
        """See `Journal.committed`."""
        return self._once(Kind.COMMITTED, trial, lambda: self._journal.committed(trial, result, spend))

    def finished(self, result: Conclusion) -> bool:
        """See `Journal.finished`."""
        return self._once(Kind.FINISHED, None, lambda: self._journal.finished(result))

    def interrupted(self, reason: str) -> None:
        """Record once that the work broke off."""
        if not self._interrupted:
            self._interrupted = True
            self._journal.interrupted(reason)

    def _once(self, kind: Kind, trial: Trial | None, record: Callable[[], None]) -> bool:
        """Record what happens to a trial once, unless it is in the log."""
        key = (kind, None if trial is None else trial.id)
        if key in self._past.said:
            return False
        self._past.said.add(key)
        record()
        return True


def _logged(result: ToolResult, step: int) -> LoggedToolCall:
    return LoggedToolCall(
        name=result.call.name,
        arguments=result.call.arguments,
        result=result.text,
        step=step,
        id=result.call.id,
        status=result.status,
        error=result.error,
        length=result.length,
        seconds=result.seconds,
    )


class AgentLog:
    """Where an agent's events go: a run folder, memory, or nowhere. Mutable; close it when done.

    Args:
        recorder: Takes the events; None = nowhere.
        run: Id of the run.
    """

    def __init__(self, recorder: Recorder | None = None, *, run: str = "agent") -> None:
        self._recorder: Recorder = recorder if recorder is not None else NullRecorder()
        self._run = run
        self._folder: Path | None = None
        self._index: EventIndex | None = None
        self._known: set[str] = set()
        self._open: dict[str, ProblemLog] = {}
        self._closed_before: set[str] = set()

    @classmethod
    def open(cls, folder: Path | str, *, writer: str = "main") -> Self:
        """Open a run folder: make it where there is none, else go on from what is in it.

        Args:
            folder: Of agent runs alone.
            writer: Name of this process's file; several processes write one folder under several names.

        Raises:
            RecordError: the folder holds a run of another kind, is in use, or cannot be read or written.
        """
        path = Path(folder)
        if not (path / RUN).exists():
            create_run(path, run=path.name, config=CONFIG, problems=(), created=utc_now())
        facts = read_facts(path)
        if facts.config.get("graph") != CONFIG["graph"]:
            raise RecordError(f"{path} holds a run of another kind: choose another folder for the agent")
        recorder = FileRecorder(path, writer)
        log = cls(recorder, run=facts.run)
        log._folder = path
        log._known = {problem.id for problem, _ in read_problems(path)}
        log._index = EventIndex(path)
        if not log._index.events(None):
            record_run_started(recorder, run=facts.run, config=CONFIG)
        return log

    @property
    def run(self) -> str | None:
        """The run folder, if there is one."""
        return None if self._folder is None else str(self._folder)

    def problem(self, problem: Problem, config: Mapping[str, JsonValue]) -> ProblemLog:
        """Return the log of a problem: the open one, or one that begins after what is in the log.

        Args:
            problem: The conversation.
            config: What a later reader needs to know; recorded where work begins or goes on.
        """
        if problem.id not in self._open and self._folder is not None and problem.id not in self._known:
            add_problem(self._folder, problem)
            self._known.add(problem.id)
        return self.again(problem.id, config)

    def again(self, problem: str, config: Mapping[str, JsonValue]) -> ProblemLog:
        """Return the log of a problem that was opened before, in this process or an earlier one, by its id."""
        found = self._open.get(problem)
        if found is not None:
            return found
        while len(self._open) >= MOST_OPEN:
            self.leave(next(iter(self._open)))
        past = AgentPast()
        for event in self._events(problem):
            past.read(event)
        journal = TrajectoryJournal(self._recorder, run=self._run, problem=problem, next_seq=past.next_seq)
        log = self._open[problem] = ProblemLog(journal, past, config)
        return log

    def leave(self, problem: str) -> None:
        """Forget what is held in memory of a problem that is done."""
        if self._open.pop(problem, None) is not None:
            self._closed_before.add(problem)

    def _events(self, problem: str) -> Sequence[Event]:
        if isinstance(self._recorder, MemoryRecorder):
            return [event for event in self._recorder.events if event.problem == problem]
        if self._folder is None or self._index is None:
            return ()
        if problem in self._closed_before:
            # The index does not know what this process wrote.
            self._index.close()
            self._index = EventIndex(self._folder)
        return self._index.events(problem)

    def close(self) -> None:
        """Let go of the folder; idempotent."""
        self._recorder.close()
        if self._index is not None:
            self._index.close()
            self._index = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
