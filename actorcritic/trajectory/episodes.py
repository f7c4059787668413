"""A run as data: one frozen `Episode` per problem, one in memory at a time.

What exporters and analyses read. Everything here was in the log; nothing is computed by a model, and the gold side
stands in one field of its own, `Episode.gold`. Knows no recipe and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from actorcritic.budget import Spend
from actorcritic.codec import decode
from actorcritic.errors import RecordError
from actorcritic.metering import Call, EnvironmentStep
from actorcritic.search.policy import ORACLE
from actorcritic.trajectory.attempts import Derived, EpisodeAttempt, LoggedJudgement, LoggedScore, LoggedToolCall
from actorcritic.trajectory.events import DONE, Event, Kind, read_call
from actorcritic.trajectory.forks import fork_of, left_lines, line_of
from actorcritic.trajectory.index import EventIndex
from actorcritic.trajectory.provenance import ModelOrigin, Provenance, read_provenance
from actorcritic.trajectory.reader import RunFacts, read_facts, read_problems
from actorcritic.types import Critique, Failure, Outcome, Problem, Reference, Solution, StopReason, Trial

__all__ = ["Episode", "episode_of", "read_episodes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One problem and all that was tried on it."""

    run: str
    problem: Problem
    gold: Reference | None
    """The gold side. For filters and for recipes that say so; never for a prompt that will not have it."""
    attempts: tuple[EpisodeAttempt, ...]
    """By trial id."""
    best: int | None = None
    """The trial that wrote the answer."""
    answer: str | None = None
    stopped_by: StopReason | None = None
    """None while the problem is not done."""
    spend: Spend = Spend()
    """Everything charged to settled trials."""
    failures: tuple[Failure, ...] = ()
    """Everything that failed, critics included, in the order of the log."""
    oracle: bool = False
    """True where a gold answer or the task's own checker took part in the run. Scoring afterwards does not count."""
    provenance: Provenance = Provenance()
    withheld: bool = False
    """True where prompts were left out of the log."""
    derived: tuple[Derived, ...] = ()
    """What collection steps made after the search, in the order of the log."""
    fork: int | None = None
    """Id of the fork that this is, where somebody went back in time on the problem; see `forks`."""
    left: Spend = Spend()
    """Charged to settled trials on lines that were left to go back, beside `spend`."""
    strays: int = 0
    """Late events that were left out, since they name a trial which the log lacks: a crash of the machine may take the
    end of the log and leave what was said of it."""

    @property
    def finished(self) -> bool:
        """Whether the search came to its end."""
        return self.stopped_by is not None

    @property
    def best_attempt(self) -> EpisodeAttempt | None:
        """The attempt that wrote the answer."""
        return None if self.best is None else self.attempt(self.best)

    def attempt(self, trial: int) -> EpisodeAttempt:
        """Return the attempt of a trial.

        Raises:
            KeyError: there is none.
        """
        found = next((attempt for attempt in self.attempts if attempt.id == trial), None)
        if found is None:
            raise KeyError(trial)
        return found

    def children(self, trial: int | None) -> tuple[EpisodeAttempt, ...]:
        """Return the attempts that start from a trial's solution; None = from the problem itself."""
        return tuple(attempt for attempt in self.attempts if attempt.parent == trial)

    def siblings(self, trial: int) -> tuple[EpisodeAttempt, ...]:
        """Return the other attempts with the same parent."""
        return tuple(item for item in self.children(self.attempt(trial).parent) if item.id != trial)


def read_episodes(folder: Path, *, left: bool = False) -> Iterator[Episode]:
    """Yield a run's episodes in the order of its problems, so that timing changes nothing; also of a run at work.

    Memory holds one problem at a time. A problem of which nothing is logged is left out; one that is not done comes
    with `finished` False. Where somebody went back in time on a problem, its episode is the line that counts; with
    `left` the lines that were left come before it, each as an episode of its own.

    Raises:
        RecordError: this is no run folder, or an event cannot be read; the message names it.
    """
    facts = read_facts(folder)
    with EventIndex(folder) as index:
        for problem, gold in read_problems(folder):
            events = index.events(problem.id)
            for line in left_lines(events) if left else ():
                yield episode_of(facts, problem, gold, line)
            if events:
                yield episode_of(facts, problem, gold, events, index.outcomes(problem.id))


def episode_of(
    facts: RunFacts, problem: Problem, gold: Reference | None, events: Sequence[Event], outcomes: Sequence[Event] = ()
) -> Episode:
    """Return one problem's events as an episode.

    Args:
        facts: Of the run.
        problem: Whose events these are.
        gold: Its gold side.
        events: In order; of several lines the one that counts is read.
        outcomes: What became known after the run, in the order of time.

    Raises:
        RecordError: an event does not hold what its kind says.
    """
    reader = _Reader()
    line = line_of(events)
    for event in line:
        reader.read(event)
    current = [event for event in outcomes if not _is_of_another_line(event, line)]
    for event in current:
        reader.read_late(event)
    attempts = reader.attempts()
    provenance = reader.provenance or _provenance_of(facts, attempts)
    return Episode(
        run=facts.run,
        problem=problem,
        gold=gold,
        attempts=attempts,
        best=reader.end.best,
        answer=reader.end.answer,
        stopped_by=reader.end.stopped_by,
        spend=reader.spend,
        failures=tuple(reader.failures),
        oracle=provenance.oracle or reader.oracle or any(map(_had_oracle, attempts)),
        provenance=provenance,
        withheld=reader.withheld,
        derived=tuple(reader.derived),
        fork=fork_of(line),
        left=_spend_left(events, line),
        strays=reader.strays + len(outcomes) - len(current),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TreeColumns:
    """Where a strategy counts visits: its nodes, by columns."""

    trials: tuple[int, ...] = ()
    visits: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """What a `finished` event says that the events before it do not."""

    best: int | None = None
    answer: str | None = None
    stopped_by: StopReason | None = None
    tree: _TreeColumns = _TreeColumns()


@dataclass(slots=True, kw_only=True)
class _Past:
    """What is known of a trial so far. Mutable."""

    trial: Trial
    solution: Solution | None = None
    critique: Critique | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
    settled: bool = False
    calls: list[Call] = field(default_factory=list[Call])
    steps: list[EnvironmentStep] = field(default_factory=list[EnvironmentStep])
    tool_calls: list[LoggedToolCall] = field(default_factory=list[LoggedToolCall])
    judgements: list[LoggedJudgement] = field(default_factory=list[LoggedJudgement])
    scores: list[LoggedScore] = field(default_factory=list[LoggedScore])


class _Reader:
    """Takes in the events of one problem. Mutable."""

    def __init__(self) -> None:
        self.pasts: dict[int, _Past] = {}
        self.failures: list[Failure] = []
        self.spend = Spend()
        self.end = _End()
        self.provenance: Provenance | None = None
        self.withheld = False
        self.oracle = False
        self.derived: list[Derived] = []
        self.strays = 0

    def read(self, event: Event) -> None:
        """Take in one event of the problem's own log."""
        payload = event.payload
        if event.kind is Kind.PROBLEM_STARTED:
            config = payload.get("config")
            self.end = _End()
            self.provenance = read_provenance(config) or self.provenance
            self.withheld |= isinstance(config, dict) and config.get("prompts") is False
        elif event.kind is Kind.FINISHED:
            known = ("best", "answer", "stopped_by", "tree")
            self.end = decode(_End, {name: payload[name] for name in known if name in payload})
        elif event.kind in (Kind.SCORED, Kind.DERIVED):
            if event.trial is not None:
                # A gold score that came before its trial was settled was told to the search.
                unsettled = not self._past(event, event.trial).settled
                self.oracle |= unsettled and event.kind is Kind.SCORED and payload.get("gold") is True
            self.read_late(event)
        elif event.kind is Kind.ASKED:
            trial = decode(Trial, payload.get("trial"))
            self.pasts[trial.id] = _Past(trial=trial)
        elif event.trial is not None:
            self._learn(self._past(event, event.trial), event)

    def read_late(self, event: Event) -> None:
        """Take in what may come after the run: a score, of the answer if it names no trial, or a collected event."""
        if event.trial is not None and event.trial not in self.pasts:
            self.strays += 1
        elif event.kind is Kind.DERIVED:
            payload = {name: value for name, value in event.payload.items() if name != "step"}
            step = str(event.payload.get("step", ""))
            self.derived.append(Derived(step=step, trial=event.trial, payload=payload))
        elif event.kind is Kind.SCORED:
            best = self.end.best if event.trial is None else event.trial
            said = {name: event.payload.get(name) for name in ("by", "score", "gold")}
            if best is not None and said["score"] is not None:
                self._past(event, best).scores.append(decode(LoggedScore, {**said, "time": event.time}))

    def attempts(self) -> tuple[EpisodeAttempt, ...]:
        """Return what is known of every trial."""
        tree = self.end.tree
        counts = {
            trial: (visits, value) for trial, visits, value in zip(tree.trials, tree.visits, tree.values, strict=True)
        }
        return tuple(
            EpisodeAttempt(
                trial=past.trial,
                solution=past.solution,
                critique=past.critique,
                outcome=past.outcome,
                failure=past.failure,
                settled=past.settled,
                calls=tuple(past.calls),
                steps=tuple(past.steps),
                tool_calls=tuple(past.tool_calls),
                judgements=tuple(past.judgements),
                scores=tuple(past.scores),
                visits=counts[trial][0] if trial in counts else None,
                value=counts[trial][1] if trial in counts else None,
            )
            for trial, past in sorted(self.pasts.items())
        )

    def _past(self, event: Event, trial: int) -> _Past:
        past = self.pasts.get(trial)
        if past is None:
            where = f"event {event.seq} of problem {event.problem!r}"
            raise RecordError(f"{where} is of trial {trial}, which was not asked")
        return past

    def _learn(self, past: _Past, event: Event) -> None:
        """Take in what happened to a trial."""
        payload = event.payload
        _gather(past, event)
        if event.kind in DONE.values():
            past.solution = decode(Solution, payload.get("solution"))
        elif event.kind is Kind.CRITIQUED:
            past.critique = decode(Critique, payload.get("critique"))
        elif event.kind is Kind.FAILED:
            failure = decode(Failure, payload.get("failure"))
            self.failures.append(failure)
            past.failure = failure if past.solution is None else past.failure
        elif event.kind is Kind.COMMITTED:
            past.settled = True
            self.spend = self.spend.plus(decode(Spend, payload.get("spend")))
            past.outcome = decode(Outcome, payload["outcome"]) if "outcome" in payload else None
            past.failure = decode(Failure, payload["failure"]) if "failure" in payload else past.failure


def _gather(past: _Past, event: Event) -> None:
    """Take in what may happen to a trial many times."""
    if event.kind is Kind.CALLED:
        past.calls.append(read_call(event.payload))
    elif event.kind is Kind.STEPPED:
        past.steps.append(decode(EnvironmentStep, dict(event.payload)))
    elif event.kind is Kind.TOOL_CALLED:
        past.tool_calls.append(decode(LoggedToolCall, dict(event.payload)))
    elif event.kind is Kind.STEP_JUDGED:
        past.judgements.append(decode(LoggedJudgement, dict(event.payload)))


def _spend_left(events: Sequence[Event], line: Sequence[Event]) -> Spend:
    """Return what was charged to settled trials beside a line."""
    there, spend = {event.seq for event in line}, Spend()
    for event in events:
        if event.kind is Kind.COMMITTED and event.seq not in there:
            spend = spend.plus(decode(Spend, event.payload.get("spend")))
    return spend


def _is_of_another_line(late: Event, line: Sequence[Event]) -> bool:
    """Return whether a late event was said of a trial of the same number on a line that was left since."""
    fork = next((event for event in reversed(line) if event.kind is Kind.FORKED), None)
    if fork is None or late.time >= fork.time:
        return False
    asked = {event.trial for event in line if event.kind is Kind.ASKED and event.seq > fork.seq}
    return late.trial is None or late.trial in asked


def _provenance_of(facts: RunFacts, attempts: Sequence[EpisodeAttempt]) -> Provenance:
    """Return what an older log tells of its run."""
    config = facts.config
    models = {
        (call.role, call.model): ModelOrigin(role=call.role, name=call.engine, model=call.model)
        for attempt in attempts
        for call in attempt.calls
    }
    strategy, seed, width = config.get("strategy"), config.get("seed"), config.get("width")
    return Provenance(
        strategy=strategy if isinstance(strategy, str) else None,
        seed=seed if isinstance(seed, int) else None,
        width=width if isinstance(width, int) else None,
        oracle=config.get("critic") == "oracle",
        models=tuple(models[key] for key in sorted(models)),
    )


def _had_oracle(attempt: EpisodeAttempt) -> bool:
    """Return whether a gold side took part in an attempt."""
    return (attempt.critique is not None and attempt.critique.oracle) or attempt.trial.options.get(ORACLE) is True
