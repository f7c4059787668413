"""The driver: one tree for any timing, failures as data, never over budget, cancellation that reaches the engine."""

from __future__ import annotations

import asyncio
import random

import pytest

from actorcritic.budget import Budget, Ledger
from actorcritic.codec import encode
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError
from actorcritic.graphs.session import ProblemResult, Session, SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.search.strategies import STRATEGIES, parse_strategy
from actorcritic.types import Problem
from tests.graphs.world import HARD, PROBLEM, world

EVERY_STRATEGY = sorted(STRATEGIES)


def settings(strategy: str, *, width: int = 1, tokens: int | None = None, calls: int | None = None) -> SearchSettings:
    return SearchSettings(
        strategy=parse_strategy(strategy),
        budget=Budget(tokens=tokens, calls=calls),
        width=width,
        seed=3,
        trial_tokens=90,
    )


async def search(
    how: SearchSettings,
    problem: Problem = HARD,
    *,
    latencies: tuple[float, ...] = (),
    failures: dict[int, EngineError] | None = None,
) -> tuple[ProblemResult, Session]:
    actor, critic = world(latencies=latencies, failures=failures)
    session = new_session(problem, how, SilentJournal())
    return await search_problem(session, actor, critic, how), session


def tree_of(session: Session) -> object:
    return session.policy.dump(), encode(session.attempts), encode(session.ledger.spend)


@pytest.mark.parametrize("strategy", EVERY_STRATEGY)
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("tokens", [None, 300])
async def test_timing_changes_nothing(strategy: str, width: int, tokens: int | None) -> None:
    how = settings(strategy, width=width, tokens=tokens)
    _, still = await search(how)
    for shuffle in range(3):
        rng = random.Random(shuffle)
        latencies = tuple(rng.expovariate(500) for _ in range(17))
        _, shaken = await search(how, latencies=latencies)
        assert tree_of(shaken) == tree_of(still)


@pytest.mark.parametrize("strategy", EVERY_STRATEGY)
@pytest.mark.parametrize("tokens", [20, 57, 128, 400])
async def test_a_token_budget_is_never_exceeded(strategy: str, tokens: int) -> None:
    result, _ = await search(settings(strategy, width=3, tokens=tokens))
    assert result.spend.total.logical_tokens <= tokens
    assert result.stopped_by in ("tokens", "accepted", "completed") and result.failures == ()


@pytest.mark.parametrize("strategy", EVERY_STRATEGY)
async def test_a_budget_of_calls_is_never_exceeded(strategy: str) -> None:
    result, _ = await search(settings(strategy, width=3, calls=5))
    assert 1 <= result.spend.total.calls <= 5


async def test_one_failed_sample_keeps_the_others() -> None:
    failures = {2: EngineError("the third call fails")}
    result, session = await search(settings("best-of-n:n=6", width=3), failures=failures)
    assert result.attempts == 5
    assert [failure.message for failure in result.failures] == ["the third call fails"]
    assert result.stopped_by == "completed" and result.best in session.attempts


async def test_a_retryable_failure_is_tried_again() -> None:
    failures = {0: EngineError("busy", retryable=True)}
    result, _ = await search(settings("greedy"), failures=failures)
    assert result.attempts == 1 and result.failures == ()


async def test_a_dead_engine_ends_the_run_as_failed() -> None:
    failures = {call: EngineError("gone") for call in range(1000)}
    result, _ = await search(settings("majority:n=4"), failures=failures)
    assert result.stopped_by == "failed" and result.answer is None and len(result.failures) == 4


async def test_seconds_end_a_run_with_the_best_so_far() -> None:
    how = SearchSettings(
        strategy=parse_strategy("majority"), budget=Budget(seconds=0.3), width=2, seed=1, trial_tokens=90
    )
    actor, critic = world(latencies=(0.02,) * 5 + (30.0,) * 50)
    session = new_session(PROBLEM, how, SilentJournal())
    result = await asyncio.wait_for(search_problem(session, actor, critic, how), timeout=10)
    assert result.stopped_by == "seconds" and result.attempts == 5 and result.answer is not None
    assert isinstance(actor.engine, ScriptedEngine) and actor.engine.running == 0


async def test_cancelling_a_run_reaches_the_engine() -> None:
    how = settings("majority", width=4)
    actor, critic = world(latencies=(30.0,))
    session = new_session(PROBLEM, how, SilentJournal())
    task = asyncio.create_task(search_problem(session, actor, critic, how))
    engine = actor.engine
    assert isinstance(engine, ScriptedEngine)
    while engine.running < 4:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.running == 0 and all(call.cancelled for call in engine.calls)


async def test_a_slow_trial_does_not_hold_up_the_window() -> None:
    """With a barrier the others would wait for the slowest of each round."""
    how = settings("majority:n=12", width=4)
    actor, critic = world(latencies=(0.1, 0.0, 0.0, 0.0))
    session = new_session(PROBLEM, how, SilentJournal())
    await search_problem(session, actor, critic, how)
    assert isinstance(actor.engine, ScriptedEngine) and actor.engine.peak == 4


async def test_a_truncated_solution_is_not_finished() -> None:
    how = settings("best-of-n:n=3")
    actor, critic = world(max_tokens=7)
    session = new_session(HARD, how, SilentJournal())
    result = await search_problem(session, actor, critic, how)
    assert result.answer is None
    assert isinstance(critic.engine, ScriptedEngine) and critic.engine.calls == []
    assert not any(attempt.solution.complete for attempt in session.attempts.values())


async def test_revise_stops_once_the_critic_accepts() -> None:
    result, _ = await search(settings("revise", tokens=40_000), PROBLEM)
    assert result.stopped_by == "accepted"
    assert result.attempt is not None and result.attempt.critique is not None
    assert result.attempt.critique.first_error is None


async def test_revisions_keep_the_steps_before_the_first_error() -> None:
    _, session = await search(settings("revise:rounds=30,sure=0"), HARD)
    kept = 0
    for trial, attempt in session.attempts.items():
        node = session.policy.dump()["tree"]
        assert node is not None
        kept = max(kept, attempt.solution.kept)
        if attempt.solution.kept:
            assert attempt.solution.steps[: attempt.solution.kept]
            assert trial > 0
    assert kept > 0


def test_a_ledger_without_a_commit_has_spent_nothing() -> None:
    assert Ledger().spend.total.logical_tokens == 0
