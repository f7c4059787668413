"""Reading smaller budgets off one run: the same answers as real runs under those budgets, up to the trial cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from actorcritic.actor import ModelActor
from actorcritic.budget import Budget, Spend
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError, InputError
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.scaling import ScaledResult, SharedClock, is_anytime, search_budgets
from actorcritic.graphs.session import ProblemResult, Session, SilentJournal, Watch
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.protocols import Meter
from actorcritic.search.best_of_n import BestOfN
from actorcritic.search.strategies import STRATEGIES as REGISTERED
from actorcritic.search.strategies import needs_critic, parse_strategy
from actorcritic.tasks.sources import draw_problems
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import Critique, Failure, Outcome, Problem, Solution, Trial, Verdict
from tests.graphs.world import world

PROBLEMS = draw_problems("countdown", "dev", 6)
BUDGETS = (90, 150, 240, 400)
STRATEGIES = (
    "greedy",
    "majority",
    "best-of-n:score=logprob",
    "best-of-n:score=critic",
    "revise:locate=least-confident",
    "revise",
    "refine",
)
ACTOR_ONLY = [name for name in STRATEGIES if not needs_critic(parse_strategy(name))]


def settings_for(strategy: str, budget: int | None = None, *, width: int = 1) -> SearchSettings:
    # 300 tokens are more than any trial of this world costs, as `Roles.trial_tokens` would have it.
    budgets = Budget(tokens=budget)
    return SearchSettings(strategy=parse_strategy(strategy), budget=budgets, width=width, seed=3, trial_tokens=300)


class Doubting(ModelCritic):
    """The critic of the world, never quite certain, as models are."""

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        said = await super().critique(problem, solution, meter=meter)
        return replace(said, score=0.95 if said.verdict is Verdict.CORRECT else 0.05)


def play(*, doubts: bool = False, latencies: tuple[float, ...] = ()) -> tuple[ModelActor, ModelCritic]:
    """Return the world's pair."""
    actor, critic = world(latencies=latencies)
    return actor, Doubting(critic.engine, critic.format) if doubts else critic


async def run_once(strategy: str, budget: int, *, doubts: bool = False) -> dict[str, ProblemResult]:
    """Run for real under one budget."""
    settings, (actor, critic) = settings_for(strategy, budget), play(doubts=doubts)
    sessions = (new_session(problem, settings, SilentJournal()) for problem in PROBLEMS)
    return {result.problem.id: result async for result in solve_all(sessions, actor, critic, settings)}


async def read_all(
    strategy: str, *, latencies: tuple[float, ...] = (), width: int = 1, doubts: bool = False
) -> dict[str, ScaledResult]:
    """Run once and read every budget."""
    actor, critic = play(doubts=doubts, latencies=latencies)
    scaled = search_budgets(PROBLEMS, actor, critic, settings_for(strategy, width=width), BUDGETS)
    return {one.result.problem.id: one async for one in scaled}


@pytest.mark.parametrize("doubts", [True, False])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_readings_are_the_answers_of_real_runs(strategy: str, doubts: bool) -> None:
    scaled = await read_all(strategy, doubts=doubts)
    same = 0
    for budget in BUDGETS:
        real = await run_once(strategy, budget, doubts=doubts)
        for problem in PROBLEMS:
            result = real[problem.id]
            reading = next(r for r in scaled[problem.id].readings if r.budget == budget)
            assert reading.spend.total.logical_tokens <= result.spend.total.logical_tokens <= budget
            answer = reading.attempt if reading.attempt is not None and reading.attempt.solution.complete else None
            if result.answer == (None if answer is None else answer.solution.answer):
                same += 1
            else:
                # A trial that was cut off wrote the answer; only a critique can be what was cut.
                assert strategy not in ACTOR_ONLY and budget != max(BUDGETS)
                assert result.best is not None and result.best >= reading.trials
    # What a real run could not pay to have judged beats what is certainly wrong, and that alone: where the critic never
    # doubts, only the above holds.
    if strategy in ACTOR_ONLY or doubts:
        assert same / (len(BUDGETS) * len(PROBLEMS)) >= (1.0 if strategy in ACTOR_ONLY else 0.8)


class Commits(SilentJournal):
    """Keeps what was settled, in order."""

    def __init__(self) -> None:
        self.settled: list[tuple[Trial, Outcome | Failure | None, Spend]] = []

    def committed(self, trial: Trial, result: Outcome | Failure | None, spend: Spend) -> None:
        self.settled.append((trial, result, spend))


async def commits(strategy: str, budget: int) -> dict[str, list[tuple[Trial, Outcome | Failure | None, Spend]]]:
    """Return what a real run under one budget settles, per problem."""
    settings, (actor, critic) = settings_for(strategy, budget), world()
    journals = {problem.id: Commits() for problem in PROBLEMS}
    sessions = (new_session(problem, settings, journals[problem.id]) for problem in PROBLEMS)
    async for _ in solve_all(sessions, actor, critic, settings):
        pass
    return {name: journal.settled for name, journal in journals.items()}


@pytest.mark.parametrize("strategy", [name for name, policy in REGISTERED.items() if policy.ANYTIME])
async def test_every_anytime_strategy_settles_the_same_trials_under_a_smaller_budget(strategy: str) -> None:
    large, scaled = await commits(strategy, max(BUDGETS)), await read_all(strategy)
    read = 0
    for budget in BUDGETS[1:3]:
        small = await commits(strategy, budget)
        for problem in PROBLEMS:
            reading = next(r for r in scaled[problem.id].readings if r.budget == budget)
            assert small[problem.id][: reading.trials] == large[problem.id][: reading.trials]
            read += reading.trials
    assert read > len(PROBLEMS)


async def test_the_largest_budget_is_the_run_itself() -> None:
    scaled, real = await read_all("revise"), await run_once("revise", max(BUDGETS))
    for problem in PROBLEMS:
        last = scaled[problem.id].readings[-1]
        assert (last.attempt, last.spend) == (real[problem.id].attempt, real[problem.id].spend)


async def test_timing_changes_no_reading_and_budgets_bring_more() -> None:
    for width in (1, 3):
        plain = await read_all("revise", width=width)
        shaken = await read_all("revise", width=width, latencies=(0.002, 0.0, 0.001))
        for problem in PROBLEMS:
            readings = plain[problem.id].readings
            assert [r.budget for r in readings] == list(BUDGETS)
            assert [(r.attempt, r.spend) for r in readings] == [
                (r.attempt, r.spend) for r in shaken[problem.id].readings
            ]
            tokens = [r.spend.total.logical_tokens for r in readings]
            assert tokens == sorted(tokens) and all(t <= b for t, b in zip(tokens, BUDGETS, strict=True))
            assert [r.seconds for r in readings] == sorted(r.seconds for r in readings)


async def test_a_budget_for_nothing_reads_as_nothing() -> None:
    actor, critic = world()
    (one,) = [one async for one in search_budgets(PROBLEMS[:1], actor, critic, settings_for("greedy"), (5, 500))]
    nothing, whole = one.readings
    assert nothing.attempt is None and nothing.spend.total.logical_tokens == 0 and nothing.seconds == 0
    assert whole.attempt is not None and whole.spend.total.logical_tokens > 5


async def test_failures_are_counted_in_the_trials_they_belong_to() -> None:
    actor, critic = world(failures={4: EngineError("lost")})
    scaled = search_budgets(PROBLEMS[:1], actor, critic, settings_for("majority"), (60, 600))
    (one,) = [one async for one in scaled]
    assert [reading.failures for reading in one.readings] == [0, 1]
    assert len(one.result.failures) == 1


async def test_no_call_is_made_for_a_smaller_budget() -> None:
    actor, critic = world()
    async for _ in search_budgets(PROBLEMS[:3], actor, critic, settings_for("majority"), BUDGETS):
        pass
    assert isinstance(actor.engine, ScriptedEngine)
    calls = len(actor.engine.calls)
    actor, critic = world()
    settings = settings_for("majority")
    async for _ in search_budgets(PROBLEMS[:3], actor, critic, settings, BUDGETS[-1:]):
        pass
    assert isinstance(actor.engine, ScriptedEngine) and len(actor.engine.calls) == calls


def test_seconds_are_shared_by_the_problems_in_flight() -> None:
    now = 0.0
    clock = SharedClock(lambda: now)

    def after(seconds: float) -> float:
        nonlocal now
        now += seconds
        return clock.read()

    assert after(5.0) == 0  # nobody is there
    first = clock.enter()
    assert after(2.0) - first == 2
    second = clock.enter()
    assert after(4.0) - first == 4 and clock.read() - second == 2
    clock.leave()
    assert after(1.0) - second == 3  # the one that is left has all the time: 4 + 3 = 2 + 4 + 1


async def test_a_policy_that_plans_with_its_budget_runs_once_per_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BestOfN, "ANYTIME", False)
    settings, (actor, critic) = settings_for("best-of-n"), world()
    assert not is_anytime(settings.strategy) and is_anytime(parse_strategy("revise"))
    with pytest.raises(InputError, match="search once per budget"):
        await anext(search_budgets(PROBLEMS, actor, critic, settings, BUDGETS))
    (one,) = [one async for one in search_budgets(PROBLEMS[:1], actor, critic, settings, (200,))]
    assert [reading.budget for reading in one.readings] == [200]
    with pytest.raises(InputError, match="at least one budget"):
        await anext(search_budgets(PROBLEMS, actor, critic, replace(settings, seed=1), ()))


def written(recorder: MemoryRecorder, problem: str, next_seq: int = 0) -> TrajectoryJournal:
    journal = TrajectoryJournal(recorder, run="r", problem=problem, next_seq=next_seq, now=lambda: "now")
    journal.started()
    return journal


def answered(events: Sequence[Event], role: str | None = None) -> int:
    """Return how many calls, of one role or of all, brought something."""
    calls = [event.payload for event in events if event.kind is Kind.CALLED and event.payload["generation"] is not None]
    return sum(role in (None, call["role"]) for call in calls)


async def read_logged(strategy: str, past: Sequence[Event]) -> tuple[ScaledResult, list[Event]]:
    """Go on after these events of a run whose fifth call of the actor fails; returns what was read, and the new log."""
    # A call that brought nothing is made again, unless its trial has failed of it.
    failed = any(event.kind is Kind.FAILED for event in past)
    actor, critic = world(failures={} if failed else {4 - answered(past, "actor"): EngineError("lost")})
    recorder = MemoryRecorder()

    def take_up(problem: Problem, settings: SearchSettings, watch: Watch) -> Session | ProblemResult:
        journal = written(recorder, problem.id, len(past))
        if past:
            return resume_session(problem, settings, past, journal, watch)
        return new_session(problem, settings, journal, watch)

    settings = settings_for(strategy)
    scaled = search_budgets(PROBLEMS[:1], actor, critic, settings, BUDGETS, open_session=take_up)
    (one,) = [one async for one in scaled]
    return one, recorder.events


@pytest.mark.parametrize("strategy", ["majority", "revise:accept=1"])
async def test_a_log_that_breaks_off_anywhere_gives_the_same_readings(strategy: str) -> None:
    whole, events = await read_logged(strategy, ())
    assert any(reading.failures for reading in whole.readings)

    def gist(scaled: ScaledResult) -> list[object]:
        return [(r.budget, r.attempt and r.attempt.solution, r.spend, r.trials, r.failures) for r in scaled.readings]

    for cut in range(1, len(events) + 1):
        resumed, more = await read_logged(strategy, events[:cut])
        assert gist(resumed) == gist(whole), f"cut after event {cut}: {events[cut - 1].kind}"
        assert answered((*events[:cut], *more)) == answered(events)
