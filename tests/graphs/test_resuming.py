"""A run that breaks off anywhere ends as the unbroken one would have, and pays for nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from actorcritic.budget import Budget
from actorcritic.codec import encode
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import RecordError
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.scoring import Scorers
from actorcritic.graphs.session import ProblemResult, Session
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.protocols import RewardModel
from actorcritic.reward_model import FunctionRewardModel
from actorcritic.search.strategies import STRATEGIES, parse_strategy
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import JsonValue, Trial
from tests.graphs.world import HARD, world

LATENCIES = (0.003, 0.0, 0.001, 0.002, 0.0)


def settings(strategy: str, width: int, tokens: int | None) -> SearchSettings:
    return SearchSettings(
        strategy=parse_strategy(strategy), budget=Budget(tokens=tokens), width=width, seed=4, trial_tokens=90
    )


def journal_of(recorder: MemoryRecorder, next_seq: int = 0) -> TrajectoryJournal:
    journal = TrajectoryJournal(recorder, run="r", problem=HARD.id, next_seq=next_seq, now=lambda: "now")
    journal.started()
    return journal


async def first_life(how: SearchSettings) -> tuple[ProblemResult, Session, list[Event], int]:
    actor, critic = world(latencies=LATENCIES)
    recorder = MemoryRecorder()
    session = new_session(HARD, how, journal_of(recorder))
    result = await search_problem(session, actor, critic, how)
    return result, session, list(recorder.events), calls_of(actor.engine) + calls_of(critic.engine)


async def second_life(how: SearchSettings, events: list[Event]) -> tuple[ProblemResult, object, int]:
    actor, critic = world(latencies=LATENCIES)
    session = resume_session(HARD, how, events, journal_of(MemoryRecorder(), next_seq=len(events)))
    if isinstance(session, ProblemResult):
        return session, None, 0
    result = await search_problem(session, actor, critic, how)
    return result, session.policy.dump(), calls_of(actor.engine) + calls_of(critic.engine)


def calls_of(engine: object) -> int:
    assert isinstance(engine, ScriptedEngine)
    return len(engine.calls)


def gist(result: ProblemResult, *, spend: bool) -> object:
    paid = encode(result.spend) if spend else None
    return result.answer, result.best, result.stopped_by, paid, encode(result.failures)


THOROUGH = ("best-of-n", "revise")
"""Cut after every event; the others after every seventh, since `tests/trajectory` cuts all of them everywhere."""


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize(("width", "tokens"), [(1, 330), (3, 330), (3, None)])
async def test_cut_at_any_event(strategy: str, width: int, tokens: int | None) -> None:
    how = settings(strategy, width, tokens)
    whole, session, events, calls = await first_life(how)
    # What a cancelled trial had cost by then depends on timing; everything else is exact.
    exact = not session.policy.cancelled()
    cuts = range(1, len(events) + 1) if strategy in THOROUGH else range(len(strategy) % 7 + 1, len(events) + 1, 7)
    for cut in cuts:
        result, tree, more = await second_life(how, events[:cut])
        assert gist(result, spend=exact) == gist(whole, spend=exact), f"cut after event {cut}: {events[cut - 1].kind}"
        assert tree is None or tree == session.policy.dump()
        paid = sum(event.kind is Kind.CALLED for event in events[:cut])
        assert paid + more == calls or not exact, f"cut after event {cut}: a finished call was made again"


class Stopped(TrajectoryJournal):
    """Interrupts the search after its event of this number."""

    stop: asyncio.Event
    after: int

    def note(self, kind: Kind, trial: Trial | None = None, payload: Mapping[str, JsonValue] | None = None) -> None:
        super().note(kind, trial, payload)
        if self.next_seq == self.after:
            self.stop.set()


class FullOnce(MemoryRecorder):
    """Has no room for one event, and for the next one again."""

    def __init__(self, full: int) -> None:
        super().__init__()
        self.full = full

    def record(self, event: Event) -> None:
        if len(self.events) == self.full:
            self.full = -1
            raise RecordError("no space left on device")
        super().record(event)


@pytest.mark.parametrize(
    ("strategy", "width"), [("best-of-n", 1), ("revise", 3), ("best-of-n:score=reward-model,n=4", 2)]
)
async def test_a_log_that_is_full_for_a_moment_stops_the_run_and_costs_no_trial(strategy: str, width: int) -> None:
    model: RewardModel = FunctionRewardModel(lambda problem, solution: 1 / (1 + len(solution.raw)))
    how = replace(settings(strategy, width, 330), scorers=Scorers(reward_model=model))
    whole, _, events, _ = await first_life(how)
    for full in range(1, len(events)):
        recorder, (actor, critic) = FullOnce(full), world(latencies=LATENCIES)
        with pytest.raises(RecordError, match="no space left"):
            await search_problem(new_session(HARD, how, journal_of(recorder)), actor, critic, how)
        assert Kind.FAILED not in {event.kind for event in recorder.events}
        resumed, _, _ = await second_life(how, recorder.events)
        assert gist(resumed, spend=True) == gist(whole, spend=True), f"full at event {full}: {events[full].kind}"


@pytest.mark.parametrize(("strategy", "width"), [("best-of-n", 1), ("revise", 3)])
async def test_an_interrupted_search_goes_on_to_the_same_end(strategy: str, width: int) -> None:
    how = settings(strategy, width, 330)
    whole, _, events, _ = await first_life(how)
    bests: list[int | None] = []
    for after in range(2, len(events) * 2 // 3, 5):
        recorder, (actor, critic) = MemoryRecorder(), world(latencies=LATENCIES)
        journal = Stopped(recorder, run="r", problem=HARD.id, now=lambda: "now")
        journal.stop, journal.after = asyncio.Event(), after
        journal.started()
        result = await search_problem(new_session(HARD, how, journal), actor, critic, how, stop=journal.stop)
        assert result.stopped_by == "interrupted" and result.spend.total.logical_tokens <= 330
        bests.append(result.best)
        journal.interrupted("stopped")
        assert Kind.FINISHED not in {event.kind for event in recorder.events}
        resumed, _, _ = await second_life(how, recorder.events)
        assert gist(resumed, spend=True) == gist(whole, spend=True)
    assert bests[0] is None and bests[-1] is not None
