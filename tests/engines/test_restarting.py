"""An engine that dies is started again, so often and no more: who waited hears of it, who comes later is served."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from actorcritic.actor import ModelActor
from actorcritic.budget import Budget
from actorcritic.critic import FunctionCritic
from actorcritic.engines.conformance import check_closing, run_checks
from actorcritic.engines.restarting import RestartingEngine, close_all, keep_running
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.formats.chat import ChatActorFormat
from actorcritic.graphs.session import ProblemResult, SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.protocols import Engine
from actorcritic.search.strategies import parse_strategy
from actorcritic.types import (
    Critique,
    GenerateRequest,
    Generation,
    Problem,
    Prompt,
    Solution,
    StepCritique,
    Verdict,
)

REQUEST = GenerateRequest(prompt=Prompt(content="go"), max_tokens=10, seed=1)


class Mortal(ScriptedEngine):
    """Dies at a call, with everybody who waits, and stays dead."""

    def __init__(self, lives: int | None = None) -> None:
        super().__init__(lambda request: f"Answer: {request.seed}", latencies=(0.001,))
        self.lives = lives
        self.dead = False
        self.closed = False

    async def generate(self, request: GenerateRequest) -> Generation:
        if len(self.calls) == self.lives:
            self.dead = True
        generation = await super().generate(request)
        if self.dead:
            raise EngineUnavailable("killed")
        return generation

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()


class Starts:
    """Starts engines that live so long, the last number for all that follow; keeps them all."""

    def __init__(self, *lives: int | None, failing: int = 0, roles: int = 1) -> None:
        self.lives = lives
        self.failing = failing
        self.roles = roles
        self.made: list[tuple[Mortal, ...]] = []
        self.gate: threading.Event | None = None

    def __call__(self) -> Sequence[Engine]:
        if self.gate is not None:
            self.gate.wait()
        if self.made and self.failing:
            self.failing -= 1
            raise EngineUnavailable("no room")
        lives = self.lives[min(len(self.made), len(self.lives) - 1)]
        self.made.append(tuple(Mortal(lives) for _ in range(self.roles)))
        return self.made[-1]


async def outcomes(engine: Engine, count: int) -> list[str]:
    done = await asyncio.gather(*(engine.generate(REQUEST) for _ in range(count)), return_exceptions=True)
    return ["failed" if isinstance(one, EngineUnavailable) else "answered" for one in done]


async def test_who_waits_hears_of_the_death_and_who_comes_later_is_served() -> None:
    starts = Starts(5, None)
    (engine,) = keep_running(starts)
    assert await outcomes(engine, 5) == ["answered"] * 5
    assert await outcomes(engine, 4) == ["failed"] * 4
    assert await outcomes(engine, 4) == ["answered"] * 4
    assert engine.restarts == 1 and starts.made[0][0].closed and engine.engine is starts.made[1][0]
    await engine.aclose()
    assert starts.made[1][0].closed


async def test_so_many_times_and_no_more() -> None:
    starts = Starts(0)
    (engine,) = keep_running(starts, restarts=2)
    for _ in range(3):
        assert await outcomes(engine, 2) == ["failed"] * 2
    with pytest.raises(EngineUnavailable, match="started again 2 times: killed"):
        await engine.generate(REQUEST)
    assert len(starts.made) == 3 and engine.restarts == 2


async def test_a_start_that_fails_counts_and_tells_everybody_who_waits() -> None:
    starts = Starts(0, None, failing=1)
    (engine,) = keep_running(starts, restarts=2)
    assert await outcomes(engine, 1) == ["failed"]
    done = await asyncio.gather(*(engine.generate(REQUEST) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in done] == ["the engine could not be started again: no room"] * 3
    assert await outcomes(engine, 1) == ["answered"] and engine.restarts == 2
    await engine.aclose()


async def test_what_may_be_tried_again_is_no_death() -> None:
    failures = {0: EngineUnavailable("busy", retryable=True)}
    (engine,) = keep_running(lambda: [ScriptedEngine(["a"], failures=failures)], restarts=0)
    with pytest.raises(EngineUnavailable, match="busy"):
        await engine.generate(REQUEST)
    assert (await engine.generate(REQUEST)).text == "a" and engine.restarts == 0


async def test_roles_die_and_come_back_together() -> None:
    starts = Starts(0, None, roles=2)
    actor, critic = keep_running(starts)
    assert await outcomes(actor, 1) == ["failed"]
    assert await outcomes(critic, 1) == ["answered"] and await outcomes(actor, 1) == ["answered"]
    assert actor.restarts == critic.restarts == 1 and len(starts.made) == 2
    await actor.aclose()
    with pytest.raises(EngineUnavailable, match="closed"):
        await actor.generate(REQUEST)
    assert await outcomes(critic, 1) == ["answered"]
    await critic.aclose()


async def test_a_closed_role_does_not_come_back() -> None:
    starts = Starts(1, None, roles=2)
    actor, critic = keep_running(starts)
    await actor.aclose()
    assert await outcomes(critic, 2) == ["failed"] * 2 and await outcomes(critic, 1) == ["answered"]
    assert starts.made[1][0].closed and not starts.made[1][1].closed
    await critic.aclose()


async def test_closing_while_it_starts_leaves_nothing_open() -> None:
    starts = Starts(0, None)
    (engine,) = keep_running(starts)
    assert await outcomes(engine, 1) == ["failed"]
    starts.gate = threading.Event()
    waiting = asyncio.create_task(engine.generate(REQUEST))
    cancelled = asyncio.create_task(engine.generate(REQUEST))
    await asyncio.sleep(0)
    cancelled.cancel()
    closing = asyncio.create_task(engine.aclose())
    await asyncio.sleep(0)
    starts.gate.set()
    await closing
    with pytest.raises(EngineUnavailable, match="closed"):
        await waiting
    assert cancelled.cancelled() and starts.made[1][0].closed


def test_one_loop_after_another() -> None:
    (engine,) = keep_running(Starts(1, None))
    assert asyncio.run(outcomes(engine, 2)) == ["failed"] * 2
    assert asyncio.run(outcomes(engine, 1)) == ["answered"]
    close_all([engine])


def test_bad_input_is_told_at_once() -> None:
    with pytest.raises(InputError, match="restarts must be at least 0, not -1"):
        keep_running(Starts(), restarts=-1)


async def test_it_keeps_every_promise_of_what_is_behind_it() -> None:
    def story(request: GenerateRequest) -> str:
        return "one two three, four five six"[len(request.prompt.prefill) + (request.seed or 0) % 5 :]

    (engine,) = keep_running(lambda: [ScriptedEngine(story)])
    assert {result.outcome for result in await run_checks(engine, "w")} <= {"passed", "skipped"}
    await check_closing(engine, "w")


def wrong(problem: Problem, solution: Solution) -> Critique:
    steps = tuple(StepCritique(verdict=Verdict.INCORRECT) for _ in solution.steps)
    return Critique(steps=steps, verdict=Verdict.INCORRECT, score=0.1)


async def search(engine: RestartingEngine, strategy: str) -> list[ProblemResult]:
    actor = ModelActor(engine, ChatActorFormat(), max_tokens=8)
    settings = SearchSettings(strategy=parse_strategy(strategy), width=2, budget=Budget(tokens=4000), seed=3)
    sessions = [new_session(Problem(id=f"p{i}", prompt="?"), settings, SilentJournal()) for i in range(3)]
    return [result async for result in solve_all(sessions, actor, FunctionCritic(wrong), settings)]


async def test_a_run_goes_on_and_counts_what_failed() -> None:
    starts = Starts(7, 4, None)
    (engine,) = keep_running(starts)
    results = await search(engine, "majority:n=6")
    failures = [failure for result in results for failure in result.failures]
    assert engine.restarts == 2 and 2 <= len(failures) <= 12
    assert {failure.type for failure in failures} == {"EngineUnavailable"}
    assert sum(result.attempts for result in results) + len(failures) == 18
    assert all(result.answer is not None for result in results)
    await engine.aclose()


@pytest.mark.parametrize("strategy", ["majority:n=6", "best-of-n:n=6", "mcts", "revise"])
async def test_a_run_ends_with_the_best_so_far_when_it_dies_too_often(strategy: str) -> None:
    (engine,) = keep_running(Starts(4, 0), restarts=1)
    results = await search(engine, strategy)
    assert len(results) == 3 and sum(len(result.failures) for result in results) >= 2
    assert any(result.answer is not None for result in results)
