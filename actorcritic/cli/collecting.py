"""Collects the trajectories of one shard of a run: searches every problem, then scores every complete attempt.

Scoring comes after a problem's search and reaches nothing in it; a score that a crash lost is added when the run goes
on. Memory holds the problems in flight, never the finished ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from actorcritic.budget import Spend
from actorcritic.cli.runs import Run, RunConfig
from actorcritic.cli.solve import Item, prepare
from actorcritic.cli.tally import Collected, Hear
from actorcritic.codec import decode
from actorcritic.graphs.journals import TeeJournal
from actorcritic.graphs.session import ProblemResult, Session, SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import solve_all
from actorcritic.loading import Roles
from actorcritic.tasks.checkers import checker_of, verify
from actorcritic.trajectory.events import DONE, Event, Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.shards import WHOLE, Shard
from actorcritic.types import Payload, Problem, Reference, Solution, Trial

__all__ = ["collect_part", "collect_problems", "collect_shard"]

_Solutions = Mapping[int, Solution]
"""_Solutions by their trials."""


def collect_shard(
    config: RunConfig,
    items: Sequence[Item],
    *,
    hear: Hear,
    create: Path | None = None,
    resume: Path | None = None,
    shard: Shard = WHOLE,
) -> None:
    """Load the models, open the run folder, and collect the problems of one shard.

    Args:
        config: The run's options.
        items: All problems of the run.
        hear: Hears of each problem of the shard as it is done.
        create: A new run folder, or for one shard of several one that another has begun.
        resume: The folder of an earlier run.
        shard: Which problems are this process's.

    Raises:
        InputError: something cannot work; nothing has been written or spent.
    """
    roles, settings = prepare(config, items)
    pairs = [(item.problem, item.reference) for item in items]
    mine = [pair for pair in pairs if shard.holds(pair[0].id)]
    origin = config.provenance(roles)
    with Run.open(config, pairs, provenance=origin, create=create, resume=resume, shard=shard) as run:
        asyncio.run(collect_problems(mine, roles, settings, run, concurrency=config.concurrency, hear=hear))


def collect_part(folder: Path, shard: Shard, tell: Callable[[str], None]) -> None:
    """Collect one shard of a run that is there already; tell of each problem in one line of JSON, a `Collected`.

    Raises:
        InputError: see `collect_shard`.
    """
    config, pairs = Run.read(folder)
    items = [Item(problem=problem, reference=gold) for problem, gold in pairs]
    collect_shard(config, items, hear=lambda item: tell(item.model_dump_json()), resume=folder, shard=shard)


async def collect_problems(
    pairs: Sequence[tuple[Problem, Reference]],
    roles: Roles,
    settings: SearchSettings,
    run: Run,
    *,
    concurrency: int,
    hear: Hear,
) -> None:
    """Collect until every problem is done and scored; cancelled, note in each problem at work that it broke off.

    Args:
        pairs: The shard's problems and their gold sides.
        roles: Who plays; freed in the end.
        settings: How to search.
        run: Where everything goes.
        concurrency: Problems in flight, >= 1.
        hear: Hears of each problem as it is done.
    """
    gold = {problem.id: reference for problem, reference in pairs}
    at_work: dict[str, Session] = {}
    written: dict[str, _Written] = {}
    done: list[Problem] = []

    def sessions() -> Iterator[Session]:
        for problem, _ in pairs:
            events = run.events(problem.id)
            session = None if _end_of(events) else run.session(problem, settings)
            if isinstance(session, Session):
                written[problem.id] = heard = _Written(_solutions_in(events))
                session.journal = TeeJournal((session.journal, heard))
                at_work[problem.id] = session
                yield session
            else:
                done.append(problem)

    async def catch_up() -> None:
        while done:
            problem = done.pop()
            hear(await _score_finished(problem, gold[problem.id], run))

    try:
        async for result in solve_all(sessions(), roles.actor, roles.critic, settings, concurrency=concurrency):
            session = at_work.pop(result.problem.id)
            solutions = written.pop(result.problem.id).solutions
            hear(await _score(result, session, solutions, gold[result.problem.id], run))
            await catch_up()
        await catch_up()
    except asyncio.CancelledError:
        run.interrupted()
        raise
    finally:
        await roles.aclose()


class _Written(SilentJournal):
    """Keeps every solution of a problem at work, also of trials that nobody waited for in the end."""

    def __init__(self, before: _Solutions) -> None:
        self.solutions: dict[int, Solution] = dict(before)

    def brought(self, trial: Trial, payload: Payload) -> None:
        """See `Journal.brought`."""
        if isinstance(payload, Solution):
            self.solutions[trial.id] = payload


async def _score(
    result: ProblemResult, session: Session, solutions: _Solutions, reference: Reference, run: Run
) -> Collected:
    """Score what a search has just brought."""
    problem = result.problem
    verdicts = await _write_scores(problem, solutions, reference, run.journal(problem.id))
    run.done(problem.id)
    return Collected(
        problem=problem.id,
        tokens=result.spend.total.logical_tokens,
        attempts=len(session.attempts),
        right=sum(verdicts[trial] for trial in session.attempts if trial in verdicts),
        correct=await _correct(problem, reference, result.best, verdicts),
        failed=result.stopped_by == "failed",
    )


async def _score_finished(problem: Problem, reference: Reference, run: Run) -> Collected:
    """Score what an earlier run had brought and had not scored."""
    events = run.events(problem.id)
    end = _end_of(events)
    assert end is not None  # the caller has looked
    told = {event.trial for event in events if event.kind is Kind.COMMITTED and "outcome" in event.payload}
    solutions = _solutions_in(events)
    verdicts = {
        event.trial: event.payload.get("score") == 1.0
        for event in events
        if event.kind is Kind.SCORED and event.trial is not None and event.payload.get("gold") is True
    }
    missing = {trial: solution for trial, solution in solutions.items() if trial not in verdicts}
    verdicts |= await _write_scores(problem, missing, reference, run.journal(problem.id, len(events)))
    best = end.payload.get("best")
    return Collected(
        problem=problem.id,
        tokens=decode(Spend, end.payload.get("spend")).total.logical_tokens,
        attempts=sum(trial in told for trial in solutions),
        right=sum(right for trial, right in verdicts.items() if trial in told),
        correct=await _correct(problem, reference, best if isinstance(best, int) else None, verdicts),
        failed=end.payload.get("stopped_by") == "failed",
        before=True,
    )


def _solutions_in(events: Sequence[Event]) -> _Solutions:
    """Return the solutions in a log by their trials."""
    return {
        event.trial: decode(Solution, event.payload.get("solution"))
        for event in events
        if event.kind in DONE.values() and event.trial is not None
    }


async def _write_scores(
    problem: Problem, solutions: _Solutions, reference: Reference, journal: TrajectoryJournal
) -> dict[int, bool]:
    """Write whether each complete solution is right, where anybody knows; returns what was found."""
    found: dict[int, bool] = {}
    for trial, solution in sorted(solutions.items()):
        verdict = await verify(problem, solution, reference) if solution.complete else None
        if verdict is not None:
            found[trial] = verdict
            journal.scored(trial, by=f"checker:{checker_of(problem)}", score=float(verdict), gold=True)
    return found


async def _correct(
    problem: Problem, reference: Reference, best: int | None, verdicts: Mapping[int, bool]
) -> bool | None:
    """Return whether the answer is right; none, or one that was cut off, is wrong where anybody knows."""
    return verdicts[best] if best is not None and best in verdicts else await verify(problem, None, reference)


def _end_of(events: Sequence[Event]) -> Event | None:
    """Return the event that ended the search; None where it never began or broke off."""
    last = next((event for event in reversed(events) if event.kind in (Kind.FINISHED, Kind.PROBLEM_STARTED)), None)
    return last if last is not None and last.kind is Kind.FINISHED else None
