"""Does the jobs of a collection step and appends what they bring to the run, beside what is there.

Events go to `outcomes/collect-<step>.jsonl`, or a file per shard; it takes part in no resume of the search and is safe
beside a live run.
Each names its `job`, and so does every call, logged as it ends: what is there is not paid for again. A job's calls are
billed on a prefix tree of its own. Memory holds the problems in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from actorcritic.budget import Ledger
from actorcritic.codec import encode
from actorcritic.collection.step import CollectionStep, Job, Made, Unreadable, Work
from actorcritic.errors import ActorCriticError, InputError, RecordError
from actorcritic.metering import Call, CallMeter, derive_seed
from actorcritic.protocols import ResidentActor
from actorcritic.trajectory.episodes import Episode, episode_of, read_episodes
from actorcritic.trajectory.events import Event, Kind, call_payload, read_call
from actorcritic.trajectory.index import EventIndex
from actorcritic.trajectory.journal import utc_now
from actorcritic.trajectory.reader import RunFacts, read_facts, read_problems
from actorcritic.trajectory.recorder import FileRecorder
from actorcritic.trajectory.shards import WHOLE, Shard, open_step_shard
from actorcritic.types import Failure, JsonValue, Problem, Reference

__all__ = ["Progressed", "collect_step"]

JOB, STEP = "job", "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """What a step brought of one problem, in numbers."""

    problem: str
    made: int = 0
    """Events appended now."""
    before: int = 0
    """Jobs that an earlier collection had done, those without a result included."""
    failed: int = 0
    """Jobs that failed now."""
    tokens: int = 0
    """Logical tokens spent now, all roles."""


@dataclass(slots=True, kw_only=True)
class _Past:
    """What earlier collections left of one problem and step. Mutable while it is made."""

    done: set[str]
    calls: dict[str, list[Call]]


class _Log:
    """Appends to the step's own file."""

    def __init__(self, recorder: FileRecorder, run: str, step: CollectionStep) -> None:
        self._recorder = recorder
        self._run = run
        self._step = step.name
        self.kind = step.kind

    def note(self, kind: Kind, problem: str, job: Job, name: str, payload: Made) -> None:
        """Append an event of a job."""
        named: dict[str, JsonValue] = {STEP: self._step, JOB: name, **payload}
        event = Event(kind=kind, run=self._run, problem=problem, seq=0, trial=job.trial, time=utc_now(), payload=named)
        self._recorder.record(event)


async def collect_step(
    folder: Path,
    step: CollectionStep,
    work: Work,
    *,
    concurrency: int = 256,
    limit: int | None = None,
    shard: Shard = WHOLE,
    hear: Callable[[Progressed], None] = lambda done: None,
) -> None:
    """Do every job of a step that was not done before; stopped at any moment, it goes on when called again.

    Args:
        folder: The run folder; the run may be at work.
        step: What to do.
        work: With whom and how.
        concurrency: Problems, and jobs, in flight, >= 1.
        limit: Only the first so many problems; None = all.
        shard: Which of them are this process's.
        hear: Hears of each problem as it is done.

    Raises:
        InputError: the players cannot do this, a number is below 1, or the run keeps no prompts.
        RecordError: this is no run folder, or the same step is being collected, whole or in other shards.
    """
    for name, value in (("--concurrency", concurrency), ("--limit", limit)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    step.check(work)
    facts = read_facts(folder)
    with ExitStack() as stack:
        log = _Log(stack.enter_context(open_step_shard(folder, shard, step.name)), facts.run, step)
        work = replace(work, survey=step.survey(read_episodes(folder)))
        index = stack.enter_context(EventIndex(folder))
        problems, jobs = asyncio.Semaphore(concurrency), asyncio.Semaphore(concurrency)

        async def work_on(episode: Episode, past: _Past) -> None:
            try:
                hear(await _collect(episode, past, step, work, log, jobs))
            finally:
                if isinstance(work.actor, ResidentActor):
                    await work.actor.leave(episode.problem)
                problems.release()

        try:
            async with asyncio.TaskGroup() as group:
                for episode, past in _episodes(facts, index, step, _chosen(folder, limit, shard)):
                    if episode.withheld:
                        raise InputError(f"{folder} was run without keeping prompts: nobody can be asked about them")
                    await problems.acquire()
                    group.create_task(work_on(episode, past))
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors


def _episodes(
    facts: RunFacts,
    index: EventIndex,
    step: CollectionStep,
    chosen: Iterable[tuple[Problem, Reference | None]],
) -> Iterator[tuple[Episode, _Past]]:
    """Yield the episodes of problems with what earlier collections of the step left of them."""
    for problem, gold in chosen:
        events, outcomes = index.events(problem.id), index.outcomes(problem.id)
        if events:
            yield episode_of(facts, problem, gold, events, outcomes), _read_past(outcomes, step)


def _chosen(folder: Path, limit: int | None, shard: Shard) -> Iterator[tuple[Problem, Reference | None]]:
    """Yield the problems of a shard with their gold sides."""
    return (pair for pair in islice(read_problems(folder), limit) if shard.holds(pair[0].id))


def _read_past(outcomes: Sequence[Event], step: CollectionStep) -> _Past:
    """Return which jobs are done, and the calls of those that are not."""
    past = _Past(done=set(), calls={})
    for event in outcomes:
        name = event.payload.get(JOB)
        if event.payload.get(STEP) != step.name or not isinstance(name, str):
            continue
        if event.kind is Kind.CALLED:
            call = read_call({key: value for key, value in event.payload.items() if key not in (STEP, JOB)})
            if call.generation is not None:
                past.calls.setdefault(name, []).append(call)
        elif event.kind is not Kind.FAILED or _is_final(event.payload):
            past.done.add(name)
    return past


def _is_final(payload: Mapping[str, JsonValue]) -> bool:
    """Whether a failure is one that trying again would not mend."""
    failure = payload.get("failure")
    return isinstance(failure, dict) and failure.get("type") == Unreadable.__name__


async def _collect(
    episode: Episode, past: _Past, step: CollectionStep, work: Work, log: _Log, slots: asyncio.Semaphore
) -> Progressed:
    """Do the jobs of one problem."""
    jobs = {step.job_id(work, episode.problem.id, job): job for job in step.jobs(episode, work)}
    fresh = {name: job for name, job in jobs.items() if name not in past.done}

    async def run(name: str, job: Job) -> _Result:
        async with slots:
            return await _do(episode, name, job, past.calls.get(name, ()), log)

    made = failed = tokens = 0
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(name, job)) for name, job in fresh.items()]
        for task in tasks:
            # In the order of the jobs, so that timing changes nothing; what waits here has its calls in the log.
            result = await task
            if result.payload is not None:
                kind = Kind.FAILED if result.failed else log.kind
                log.note(kind, episode.problem.id, result.job, result.name, result.payload)
            made += result.payload is not None and not result.failed
            failed += result.failed
            tokens += result.tokens
    return Progressed(
        problem=episode.problem.id, made=made, before=len(jobs) - len(fresh), failed=failed, tokens=tokens
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What a job brought."""

    name: str
    job: Job
    payload: Made | None
    """None = nothing to say."""
    failed: bool
    tokens: int


async def _do(episode: Episode, name: str, job: Job, calls: Sequence[Call], log: _Log) -> _Result:
    """Do one job; returns what it brought, or why it brought nothing."""
    lease = Ledger().lease(0)
    assert lease is not None  # an unlimited ledger always grants
    fresh: list[Call] = []

    def note_call(call: Call) -> None:
        fresh.append(call)
        log.note(Kind.CALLED, episode.problem.id, job, name, call_payload(call))

    # Two runs of one seed draw alike, as their searches do; the job's name holds the seed.
    meter = CallMeter(lease, seed=derive_seed("collect", name), past=calls, on_call=note_call)
    made: Made | None = None
    failed = False
    try:
        made = await job.work(meter)
    except RecordError:
        raise
    except ActorCriticError as error:
        where = "critic" if meter.calls and meter.calls[-1].role == "critic" else "actor"
        failure = Failure(where=where, type=type(error).__name__, message=str(error))
        made, failed = {"failure": encode(failure)}, True
    if made is not None:
        made = {**made, "spend": encode(lease.spent)}
    tokens = sum(call.usage.logical_tokens for call in fresh)
    return _Result(name=name, job=job, payload=made, failed=failed, tokens=tokens)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group, of whatever depth."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
