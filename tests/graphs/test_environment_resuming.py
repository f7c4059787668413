"""A search in an environment that breaks off anywhere ends as the unbroken one would have, with no step paid twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.codec import encode
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.shop_players import shop_critic
from actorcritic.environments.web_shop import shop_problem
from actorcritic.graphs.environment_search import AGENT_Q, LATS
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.session import ProblemResult, Session
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import search_problem
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import Problem
from tests.environments.world import SHOP, BrokenShop, CountedShop, bill, opener, player, search, settings


def journal_of(recorder: MemoryRecorder, problem: Problem, next_seq: int = 0) -> TrajectoryJournal:
    journal = TrajectoryJournal(recorder, run="r", problem=problem.id, next_seq=next_seq, now=lambda: "now")
    journal.started()
    return journal


async def second_life(
    how: SearchSettings, problem: Problem, events: list[Event], actor: EnvironmentActor
) -> tuple[ProblemResult, object]:
    session = resume_session(problem, how, events, journal_of(MemoryRecorder(), problem, len(events)))
    if isinstance(session, ProblemResult):
        return session, None
    return await search_problem(session, actor, shop_critic(), how), left_by(session)


def left_by(session: Session) -> object:
    return session.policy.dump(), {trial: encode(attempt.solution) for trial, attempt in session.attempts.items()}


def gist(result: ProblemResult) -> object:
    return result.answer, result.best, result.stopped_by, encode(bill(result.spend)), encode(result.failures)


@pytest.mark.parametrize(
    ("strategy", "width", "steps"),
    [("best-of-n:score=verifier", 2, 14), (f"{AGENT_Q},expand=2", 1, 12), (f"{LATS},expand=2", 3, 16)],
)
async def test_cut_at_every_event(strategy: str, width: int, steps: int) -> None:
    problem, how = await shop_problem(SHOP), settings(strategy, width=width, steps=steps)
    recorder, first = MemoryRecorder(), player()
    whole, session = await search(how, problem, first, journal=journal_of(recorder, problem))
    calls, events = calls_of(first), list(recorder.events)
    for cut in range(1, len(events) + 1):
        actor = player()
        result, tree = await second_life(how, problem, events[:cut], actor)
        where = f"cut after event {cut}: {events[cut - 1].kind}"
        assert gist(result) == gist(whole), where
        assert tree is None or tree == left_by(session), where
        paid = sum(event.kind is Kind.CALLED and event.payload["role"] == "actor" for event in events[:cut])
        assert paid + calls_of(actor) == calls, where


async def test_a_step_that_was_taken_is_not_taken_again_but_to_come_back() -> None:
    problem, how = await shop_problem(SHOP), settings("greedy", steps=None)
    recorder = MemoryRecorder()
    await search(how, problem, journal=journal_of(recorder, problem))
    events = list(recorder.events)
    last = max(place for place, event in enumerate(events) if event.kind is Kind.STEPPED)
    books: list[str] = []
    await second_life(how, problem, events[: last + 1], player(opener(lambda seed: CountedShop(seed, books))))
    assert books == [], "all steps of the episode are in the log"
    await second_life(how, problem, events[:last], player(opener(lambda seed: CountedShop(seed, books))))
    steps = [event.payload["action"] for event in events if event.kind is Kind.STEPPED]
    assert books == ["opened", *steps, "closed"], "a new world is brought to the state, then the last step is taken"


async def test_what_a_failed_trial_had_spent_is_on_the_bill_after_a_cut_too() -> None:
    problem, how = await shop_problem(SHOP), settings("best-of-n:score=verifier,n=4", steps=None)
    recorder = MemoryRecorder()
    whole, _ = await search(how, problem, player(opener(BrokenShop)), journal=journal_of(recorder, problem))
    events = list(recorder.events)
    failed = [place for place, event in enumerate(events, start=1) if event.kind is Kind.FAILED]
    assert failed
    for cut in failed:
        result, _ = await second_life(how, problem, events[:cut], player(opener(BrokenShop)))
        assert gist(result) == gist(whole)


async def test_a_log_of_another_world_is_a_recorded_failure() -> None:
    problem, how = await shop_problem(SHOP), settings("greedy", steps=None)
    recorder = MemoryRecorder()
    await search(how, problem, journal=journal_of(recorder, problem))
    events = list(recorder.events)
    last = max(place for place, event in enumerate(events) if event.kind is Kind.STEPPED)
    forged = [
        replace(event, payload={**event.payload, "observation": {"text": "elsewhere", "state": "0"}})
        if event.kind is Kind.STEPPED
        else event
        for event in events[:last]
    ]
    result, _ = await second_life(how, problem, forged, player())
    assert [failure.type for failure in result.failures] == ["ReplayDiffers"]


def calls_of(actor: EnvironmentActor) -> int:
    engine = getattr(actor.actor, "engine", None)
    assert isinstance(engine, ScriptedEngine)
    return len(engine.calls)
