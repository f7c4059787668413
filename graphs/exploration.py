"""The one driver: keeps a window of trials of one policy in flight and commits them in trial order.

A trial is asked only after the commit that made room for it, and everything it may see (policy, ledger, attempts) changes
at commits only. So for a fixed width the tree does not depend on timing. Runs on asyncio; knows no strategy and no file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from actorcritic.budget import Ledger
from actorcritic.errors import BudgetExhausted
from actorcritic.graphs.trial import Attempt
from actorcritic.search.policy import Policy
from actorcritic.types import Failure, StopReason, Trial

__all__ = ["Exploration", "TrialRun", "explore"]


@dataclass(slots=True, kw_only=True)
class TrialRun:
    """A trial in flight, or one that has come back and waits for its turn."""

    trial: Trial
    task: asyncio.Task[Attempt | Failure]
    cancelled: bool = False


Run = Callable[[Trial, Attempt | None], Awaitable[Attempt | Failure]]
"""Carries out one trial from its parent's attempt; a failure is a value."""

Commit = Callable[[Trial, "Attempt | Failure | None"], None]
"""Takes a trial's result in trial order (None = cancelled): settles its lease and tells the policy."""


@dataclass(slots=True, kw_only=True)
class Exploration:
    """One problem being searched. Mutable; it changes at commits only."""

    policy: Policy
    ledger: Ledger
    run: Run
    commit: Commit
    asked: Callable[[Trial], None]
    """Hears of a trial before its first call."""
    width: int = 1
    """How many trials may be in flight, >= 1; logged, since the tree depends on it."""
    trial_tokens: int | None = None
    """What one trial may cost at most, in logical tokens; None = unknown, which makes trials of a limited budget wait
    for one another."""
    attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    pending: deque[TrialRun] = field(default_factory=deque[TrialRun])
    next_trial: int = 0


async def explore(search: Exploration) -> StopReason:
    """Run a search until its policy stops or its budget is spent; cancelling it stops every trial in flight.

    Returns:
        Why it ended.
    """
    limit: StopReason | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            while True:
                limit = _fill(search, tasks) or limit
                if not search.pending:
                    break
                await _commit_next(search)
    finally:
        search.pending.clear()
    return search.policy.stopped or limit or "exhausted"


def _fill(search: Exploration, tasks: asyncio.TaskGroup) -> StopReason | None:
    """Ask for trials while there is room in the window and in the budget; returns the limit that was met."""
    while len(search.pending) < search.width and search.policy.stopped is None:
        try:
            lease = search.ledger.lease(search.next_trial, tokens=search.trial_tokens)
        except BudgetExhausted as error:
            return error.limit
        if lease is None:
            return None
        trials = search.policy.ask(1)
        if not trials:
            search.ledger.release(search.next_trial)
            return None
        (trial,) = trials
        search.next_trial = trial.id + 1
        search.asked(trial)
        parent = search.attempts[trial.parent] if trial.parent is not None else None
        task = tasks.create_task(_as_coroutine(search.run(trial, parent)))
        search.pending.append(TrialRun(trial=trial, task=task))
    return None


async def _commit_next(search: Exploration) -> None:
    """Wait for the oldest trial in flight, commit it, and stop those that no longer matter."""
    oldest = search.pending.popleft()
    try:
        result = await oldest.task
    except asyncio.CancelledError:
        if not oldest.cancelled:
            raise
        result = None
    if oldest.cancelled:
        result = None
    if isinstance(result, Attempt):
        search.attempts[oldest.trial.id] = result
    search.commit(oldest.trial, result)
    unwanted = set(search.policy.cancelled())
    for run in search.pending:
        if run.trial.id in unwanted and not run.cancelled:
            run.cancelled = True
            run.task.cancel()


async def _as_coroutine(result: Awaitable[Attempt | Failure]) -> Attempt | Failure:
    """Await anything awaitable as a coroutine, which a task needs."""
    return await result
