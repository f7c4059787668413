"""The log of a search over a caller's functions: a run folder of one problem, and what an earlier run wrote there.

A resumed search begins anew, and every call that has ended is answered from the log instead of being made; so it comes
to where it broke off by the same way. The events are those of any search: a value stands in its call's text as JSON,
and once more as the one step of a solution.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from actorcritic.budget import Charge, Spend
from actorcritic.codec import decode
from actorcritic.errors import InputError, RecordError
from actorcritic.functions.checks import Judgement
from actorcritic.functions.codecs import Codec, written
from actorcritic.functions.logs import End, Ended, Log
from actorcritic.functions.results import CallFailure, Candidate, PastError
from actorcritic.metering import Call
from actorcritic.search.tree import NodeCount
from actorcritic.trajectory.events import DONE, Event, Kind, read_call
from actorcritic.trajectory.journal import TrajectoryJournal, record_run_started, utc_now
from actorcritic.trajectory.reader import read_facts, read_run
from actorcritic.trajectory.recorder import FileRecorder, Recorder, create_run
from actorcritic.types import (
    Critique,
    Failure,
    FinishReason,
    GenerateRequest,
    Generation,
    JsonValue,
    Outcome,
    Problem,
    Prompt,
    Solution,
    Step,
    StepCritique,
    StopReason,
    Trial,
    Usage,
    Verdict,
)

__all__ = ["Codecs", "Past", "RunLog", "begin_run", "read_past", "take_up_run"]

PROBLEM = "function"
"""Id of the one problem of such a run."""
KIND = "function_search"
"""The key of `run.json` under which the search's options stand."""


@dataclass(slots=True, kw_only=True)
class Past:
    """What a log says of earlier runs. Mutable: a search takes the calls out one by one."""

    trials: dict[int, Trial] = field(default_factory=dict[int, Trial])
    calls: dict[int, deque[Call]] = field(default_factory=dict[int, deque[Call]])
    """By trial, in the order in which they were made."""
    brought: set[int] = field(default_factory=set[int])
    judged: set[int] = field(default_factory=set[int])
    failed: Counter[tuple[int, str]] = field(default_factory=Counter[tuple[int, str]])
    """By trial and function."""
    dry: set[int] = field(default_factory=set[int])
    """Trials that could not pay for their first call."""
    settled: dict[int, bool] = field(default_factory=dict[int, bool])
    """By trial, whether anything came of it."""
    stopped_by: StopReason | None = None
    """Why it ended; None = it did not."""
    next_seq: int = 0

    def forget_lost_calls(self) -> None:
        """Forget the calls that brought nothing to trials in flight: they are made again."""
        for trial, calls in self.calls.items():
            if trial not in self.settled:
                self.calls[trial] = deque(call for call in calls if call.generation is not None)


def read_past(events: Iterable[Event]) -> Past:
    """Return what the events of such a run's problem say.

    Raises:
        RecordError: they are of another kind of run.
    """
    past = Past()
    for event in events:
        past.next_seq = event.seq + 1
        if event.kind is Kind.PROBLEM_STARTED:
            past.forget_lost_calls()
        elif event.kind is Kind.FINISHED:
            past.stopped_by = cast("StopReason", event.payload.get("stopped_by"))
        elif event.trial is not None:
            _learn(past, event, event.trial)
    past.forget_lost_calls()
    return past


def _learn(past: Past, event: Event, trial: int) -> None:
    """Take in what happened in a trial."""
    if event.kind is Kind.ASKED:
        past.trials[trial] = decode(Trial, event.payload.get("trial"))
        past.calls[trial] = deque()
    elif event.kind is Kind.CALLED:
        past.calls[trial].append(read_call(event.payload))
    elif event.kind in DONE.values():
        past.brought.add(trial)
    elif event.kind is Kind.CRITIQUED:
        past.judged.add(trial)
    elif event.kind is Kind.FAILED:
        past.failed[trial, decode(Failure, event.payload.get("failure")).where] += 1
    elif event.kind is Kind.BUDGET:
        past.dry.add(trial)
    elif event.kind is Kind.COMMITTED:
        past.settled[trial] = "outcome" in event.payload or "failure" in event.payload


class RunLog(Log):
    """Writes what is new, and answers what is not. Mutable."""

    def __init__(self, recorder: Recorder, journal: TrajectoryJournal, past: Past, codecs: Codecs) -> None:
        self._recorder = recorder
        self._journal = journal
        self._past = past
        self._codecs = codecs

    def answer(self, trial: Trial) -> Ended | None:
        """See `Log.answer`."""
        calls = self._past.calls.get(trial.id)
        return self._codecs.read(calls.popleft()) if calls else None

    def given_up(self, trial: Trial) -> Sequence[Charge] | None:
        """See `Log.given_up`."""
        if self._past.settled.get(trial.id, True) or trial.id in self._past.dry:
            return None
        charges = (_charge_of(call) for call in self._past.calls[trial.id])
        return [charge for charge in charges if charge is not None]

    def asked(self, trial: Trial) -> StopReason | None:
        """See `Log.asked`.

        Raises:
            RecordError: the log asked for another trial.
        """
        logged = self._past.trials.get(trial.id)
        if logged is None:
            self._journal.asked(trial)
        elif logged != trial:
            raise RecordError(f"the log asked for {logged}, the strategy now asks for {trial}: another version")
        return self._past.stopped_by if trial.id + 1 == len(self._past.trials) else None

    def called(self, trial: Trial, ended: Ended) -> None:
        """See `Log.called`."""
        self._journal.called(trial, self._codecs.call_of(ended))

    def brought(self, trial: Trial, candidate: Candidate[Any], verdict: Verdict | None) -> None:
        """See `Log.brought`."""
        if trial.id not in self._past.brought:
            text = self._codecs.text_of(candidate)
            step = Step(text=text, raw=text)
            self._journal.brought(trial, Solution(steps=(step,), answer=text, complete=candidate.done))
        if verdict is not None and trial.id not in self._past.judged:
            said = StepCritique(verdict=verdict, score=candidate.score)
            words = self._codecs.words_of(candidate.feedback)
            critique = Critique(steps=(said,), verdict=verdict, score=candidate.score, explanation=words)
            self._journal.brought(trial, critique)

    def failed(self, trial: Trial, failure: CallFailure) -> None:
        """See `Log.failed`."""
        if self._past.failed[trial.id, failure.where]:
            self._past.failed[trial.id, failure.where] -= 1
        else:
            self._journal.brought(trial, failure.failure)

    def dry(self, trial: Trial) -> None:
        """See `Log.dry`."""
        if trial.id not in self._past.dry:
            self._journal.note(Kind.BUDGET, trial)

    def committed(self, trial: Trial, told: Outcome | Failure | None, spend: Spend) -> None:
        """See `Log.committed`."""
        if trial.id not in self._past.settled:
            self._journal.committed(trial, told, spend)

    def finished(self, end: End) -> None:
        """See `Log.finished`."""
        if self._past.stopped_by is None:
            answer = None if end.best is None else self._codecs.text_of(end.best)
            self._journal.finished(
                _Conclusion(
                    best=None if end.best is None else end.best.index,
                    answer=answer,
                    attempts=end.attempts,
                    spend=end.spend,
                    stopped_by=end.stopped_by,
                    failures=end.failures,
                    counts=end.counts,
                )
            )

    def close(self) -> None:
        """See `Log.close`."""
        self._recorder.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conclusion:
    """What came of the search, as the journal takes it."""

    best: int | None
    answer: str | None
    attempts: int
    spend: Spend
    stopped_by: StopReason
    failures: Sequence[Failure]
    counts: Mapping[int, NodeCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Codecs:
    """How values and feedback are written."""

    value: Codec[Any]
    feedback: Codec[Any]

    def call_of(self, ended: Ended) -> Call:
        """Return a call as it is logged.

        Raises:
            Refusal: what it returned cannot be written.
        """
        usage = Usage() if ended.charge is None else ended.charge.usage
        tokens = usage.prompt_tokens + usage.completion_tokens
        charge = ended.charge or Charge(
            role=ended.role, model=ended.where, prompt_ids=(), completion_ids=(), usage=usage
        )
        text = None if ended.lost else json.dumps(self._said(ended), ensure_ascii=False)
        return Call(
            role=ended.role,
            engine="function",
            model=ended.where,
            request=GenerateRequest(prompt=Prompt(content=""), max_tokens=1, logprobs=False, seed=ended.seed),
            generation=None if text is None else Generation(text=text, finish_reason=FinishReason.STOP, usage=usage),
            charge=charge,
            usage=replace(usage, logical_tokens=tokens),
            seconds=ended.seconds,
        )

    def _said(self, ended: Ended) -> dict[str, JsonValue]:
        """Return what came of a call."""
        if ended.error is not None:
            return {"error": {"type": _type_of(ended.error), "message": str(ended.error)}}
        if not isinstance(ended.value, Judgement):
            return {"value": written(ended.value, self.value, ended.where)}
        feedback = ended.value.feedback
        words = None if feedback is None else written(feedback, self.feedback, ended.where)
        return {"score": ended.value.score, "feedback": words}

    def read(self, call: Call) -> Ended:
        """Return what a logged call came to.

        Raises:
            InputError: it cannot be read with these codecs.
        """
        text = "{}" if call.generation is None else call.generation.text
        said: dict[str, Any] = json.loads(text)
        error = PastError(**said["error"]) if "error" in said else None
        value: Any = None
        try:
            if "value" in said:
                value = self.value.decode(said["value"])
            elif "score" in said:
                words = said["feedback"]
                value = Judgement(said["score"], None if words is None else self.feedback.decode(words))
        except Exception as broken:
            raise InputError(f"what {call.model} returned cannot be read with this codec: {broken}") from broken
        return Ended(
            where=call.model,
            role=call.role,
            charge=_charge_of(call),
            seed=call.request.seed or 0,
            seconds=call.seconds,
            value=value,
            error=error,
            lost=call.generation is None,
        )

    def text_of(self, candidate: Candidate[Any]) -> str:
        """Return a value as people read it: a text as it is, anything else as JSON."""
        data = self.value.encode(candidate.value)
        return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)

    def words_of(self, feedback: object) -> str | None:
        """Return feedback as people read it."""
        if feedback is None or isinstance(feedback, str):
            return feedback
        return json.dumps(self.feedback.encode(feedback), ensure_ascii=False)


def _charge_of(call: Call) -> Charge | None:
    """Return what a logged call is billed for."""
    usage = call.charge.usage
    if not usage.calls:
        return None
    return replace(call.charge, logical_tokens=usage.prompt_tokens + usage.completion_tokens)


def _type_of(error: Exception) -> str:
    return error.type if isinstance(error, PastError) else type(error).__name__


def begin_run(folder: Path, config: Mapping[str, JsonValue], title: str, codecs: Codecs) -> RunLog:
    """Return the log of a new run.

    Raises:
        RecordError: the folder holds a run already, or cannot be written.
    """
    run = uuid.uuid4().hex
    problem = Problem(id=PROBLEM, prompt=title)
    create_run(folder, run=run, config={KIND: dict(config)}, problems=[(problem, None)], created=utc_now())
    recorder = FileRecorder(folder)
    record_run_started(recorder, run=run, config={KIND: dict(config)})
    return _started(recorder, run, config, Past(), codecs)


def take_up_run(folder: Path, config: Mapping[str, JsonValue], codecs: Codecs) -> RunLog:
    """Return the log of a run that goes on; one that had finished is only read.

    Raises:
        InputError: the run was begun with other options.
        RecordError: this is no run folder, or somebody is at work in it.
    """
    facts = read_facts(folder)
    begun = facts.config.get(KIND)
    if not isinstance(begun, dict):
        raise InputError(f"{folder} is no run of a function: begin one with out={str(folder)!r} elsewhere")
    for name, value in config.items():
        if begun.get(name) != value:
            raise InputError(f"{folder} was begun with {name}={begun.get(name)}, not {value}: give the same options")
    recorder = FileRecorder(folder)
    past = read_past(read_run(folder).events.get(PROBLEM, ()))
    return _started(recorder, facts.run, config, past, codecs)


def _started(recorder: Recorder, run: str, config: Mapping[str, JsonValue], past: Past, codecs: Codecs) -> RunLog:
    journal = TrajectoryJournal(recorder, run=run, problem=PROBLEM, next_seq=past.next_seq)
    if past.stopped_by is None:
        journal.started(config)
    return RunLog(recorder, journal, past, codecs)
