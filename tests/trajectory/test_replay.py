"""A log cut anywhere goes on to what the unbroken run came to, and nothing that had finished is called again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from actorcritic.budget import Budget, Ledger
from actorcritic.codec import encode
from actorcritic.errors import RecordError
from actorcritic.search.strategies import STRATEGIES
from actorcritic.trajectory.events import Event, Kind, read_call
from actorcritic.trajectory.reader import read_run
from actorcritic.trajectory.recorder import FileRecorder, MemoryRecorder, create_run
from actorcritic.trajectory.replay import replay
from actorcritic.types import Failure, JsonValue, Problem
from tests.trajectory.simulation import Key, Parrot, Process, Setup, charged, key_of

SETUPS = {
    "in turn": Setup(strategy="", width=1, trials=7),
    "side by side": Setup(strategy="", width=3, trials=10),
    "under a budget": Setup(strategy="", width=3, budget=Budget(tokens=110), trial_tokens=40, trials=100),
}
FEW = ["greedy", "majority", "best-of-n", "revise", "refine:gate=always", "revise:locate=least-confident"]
OTHERS = [name for name in STRATEGIES if name not in FEW] + ["particle:gibbs_rounds=2", "mcts:nodes=step,leaf=rollout"]
CASES = [(name, setup) for name in FEW for setup in SETUPS] + [(name, "side by side") for name in OTHERS]

every = pytest.mark.parametrize("strategy", FEW + OTHERS)
broken = pytest.mark.parametrize("broken", [0.0, 0.2], ids=["sound", "failing"])


def answered(events: list[Event]) -> set[Key]:
    """Return the requests whose answers the log holds."""
    calls = [read_call(event.payload) for event in events if event.kind is Kind.CALLED]
    return {key_of(call.request) for call in calls if call.generation is not None}


def unbroken(setup: Setup, broken: float) -> tuple[Process, list[Event]]:
    recorder = MemoryRecorder()
    process = Process(setup, Parrot(broken), recorder).run()
    return process, recorder.events


@pytest.mark.parametrize(("strategy", "how"), CASES)
@broken
def test_cut_at_every_event(strategy: str, how: str, broken: float) -> None:
    setup = replace(SETUPS[how], strategy=strategy)
    whole, log = unbroken(setup, broken)
    for cut in range(len(log) + 1):
        recorder = MemoryRecorder()
        recorder.events = log[:cut]
        engine = Parrot(broken)
        again = Process(setup, engine, recorder, tuple(log[:cut]), hurry=cut).run()
        check_same(whole, again, log, recorder.events)
        assert not answered(log[:cut]) & set(engine.calls), f"cut at {cut}: a finished call was made again"


def check_same(whole: Process, again: Process, log: list[Event], resumed: list[Event]) -> None:
    """Check that both runs came to one end."""
    assert again.policy.dump() == whole.policy.dump()
    assert again.policy.best == whole.policy.best
    assert charged(resumed) == charged(log)
    assert [event.seq for event in resumed] == list(range(len(resumed)))
    assert resumed[-1].kind is Kind.FINISHED
    if not whole.policy.cancelled():
        assert again.ledger.spend == whole.ledger.spend
        assert resumed[-1].payload["spend"] == log[-1].payload["spend"]


@every
def test_cut_at_random_bytes(tmp_path: Path, strategy: str) -> None:
    """As after kill -9: the file ends anywhere; cut again while it goes on, three times over."""
    setup, broken = Setup(strategy=strategy, width=3, trials=8), 0.1
    whole, log = unbroken(setup, broken)
    draw = random.Random(strategy)
    for life in range(3):
        folder = tmp_path / str(life)
        create_run(folder, run="r", config={}, problems=[(Problem(id="p", prompt="?"), None)], created="now")
        events: tuple[Event, ...] = ()
        known: set[Key] = set()
        for _ in range(4):
            engine = Parrot(broken)
            with FileRecorder(folder) as recorder:
                events = read_run(folder).events.get("p", ())
                again = Process(setup, engine, recorder, events, hurry=life).run()
                path = recorder.path
            assert not known & set(engine.calls)
            complete = read_run(folder)
            assert complete.torn == ()
            check_same(whole, again, log, list(complete.events["p"]))
            content = path.read_bytes()
            path.write_bytes(content[: draw.randrange(len(content))])
            known = answered(list(read_run(folder).events.get("p", ())))


@every
def test_a_finished_problem_is_left_alone(strategy: str) -> None:
    setup = Setup(strategy=strategy, width=2, trials=6)
    whole, log = unbroken(setup, 0.0)
    recorder, engine = MemoryRecorder(), Parrot()
    again = Process(setup, engine, recorder, tuple(log)).run()
    assert (recorder.events, engine.calls) == ([], [])
    assert again.past.result == log[-1].payload
    assert again.policy.dump() == whole.policy.dump()
    assert again.ledger.spend == whole.ledger.spend


def test_what_the_log_knows_of_each_trial() -> None:
    setup = Setup(strategy="best-of-n", width=3, trials=5)
    _, log = unbroken(setup, 0.0)
    last = max(i for i, event in enumerate(log) if event.kind is Kind.CRITIQUED)
    past = replay(log[: last + 1], setup.policy(), Ledger())
    assert [trial.trial.id for trial in past.open] == sorted(past.leases)
    assert past.next_seq == last + 1
    assert past.result is None
    for trial in past.finished.values():
        assert trial.solution is not None and trial.critique is not None
        assert [call.role for call in trial.calls] == ["actor", "critic"]
    event = log[last]
    (current,) = [trial for trial in past.open if trial.trial.id == event.trial]
    assert encode(current.critique) == event.payload["critique"]


def test_a_critic_s_failure_leaves_the_solution_standing() -> None:
    setup = Setup(strategy="best-of-n", width=1, trials=30)
    _, log = unbroken(setup, 0.5)
    wheres = {read_where(event.payload) for event in log if event.kind is Kind.FAILED}
    assert wheres == {"actor", "critic"}, "the case does occur"
    past = replay(log, setup.policy(), Ledger())
    assert len(past.failures) == sum(event.kind is Kind.FAILED for event in log)
    for trial in past.finished.values():
        assert (trial.solution is None) == (trial.failure is not None)


def read_where(payload: object) -> object:
    assert isinstance(payload, dict)
    return payload["failure"]["where"]


def test_late_news_of_a_settled_trial_is_no_obstacle() -> None:
    setup = Setup(strategy="revise", width=2, trials=6)
    log = unbroken(setup, 0.0)[1]
    late = Event(kind=Kind.SCORED, run="r", problem="p", seq=len(log), trial=0, time="later", payload={"score": 1.0})
    assert replay([*log, late], setup.policy(), Ledger()).next_seq == len(log) + 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda log: log[:3] + log[4:], "event 3 of problem 'p' is missing"),
        (lambda log: [*log[:2], replace(log[2], trial=7)], "trial 7, which was not asked"),
        (lambda log: [log[0], other_trial(log[1])], "another version or option"),
        (lambda log: [*log[:2], replace(log[2], payload={})], "a call without its charge|asks for"),
    ],
)
def test_a_log_that_does_not_fit_is_refused(spoil: Callable[[list[Event]], list[Event]], says: str) -> None:
    setup = Setup(strategy="revise", width=1, trials=6)
    log = unbroken(setup, 0.0)[1]
    with pytest.raises(RecordError, match=says):
        replay(spoil(log), setup.policy(), Ledger())


def other_trial(event: Event) -> Event:
    payload: dict[str, JsonValue] = {"trial": {"id": 0, "action": "propose", "options": {"temperature": 9}}}
    return replace(event, payload=payload)


def test_another_budget_is_refused() -> None:
    setup = Setup(strategy="majority", width=2, budget=Budget(tokens=300), trial_tokens=50, trials=50)
    _, log = unbroken(setup, 0.0)
    with pytest.raises(RecordError, match="no room for trial"):
        replay(log, setup.policy(), Ledger(Budget(tokens=60)), trial_tokens=50)


def test_an_interrupted_call_is_made_again_and_billed_once() -> None:
    """A call that Ctrl-C cut off brought nothing; its charge goes with it, since its trial starts over."""
    setup = Setup(strategy="best-of-n", width=1, trials=3)
    whole, log = unbroken(setup, 0.0)
    first = next(i for i, event in enumerate(log) if event.kind is Kind.CALLED)
    call = read_call(log[first].payload)
    payload: dict[str, JsonValue] = {**log[first].payload, "generation": None}
    payload["charge"] = {"prompt_ids": list(call.charge.prompt_ids), "usage": encode(call.charge.usage), "money": 0.0}
    recorder = MemoryRecorder()
    recorder.events = [*log[:first], replace(log[first], payload=payload)]
    assert read_call(payload).generation is None
    engine = Parrot()
    again = Process(setup, engine, recorder, tuple(recorder.events)).run()
    assert again.policy.dump() == whole.policy.dump()
    assert again.ledger.spend == whole.ledger.spend
    # And the log of both lives replays to the same again.
    last = replay(recorder.events, setup.policy(), ledger := Ledger())
    assert last.result is not None
    assert ledger.spend == whole.ledger.spend


def test_a_failure_outlives_the_process() -> None:
    setup = Setup(strategy="majority", width=1, trials=1)
    recorder = MemoryRecorder()
    process = Process(setup, Parrot(broken=1.0), recorder).run()
    until = next(i for i, event in enumerate(recorder.events) if event.kind is Kind.FAILED)
    again = Process(setup, engine := Parrot(broken=0.0), MemoryRecorder(), tuple(recorder.events[: until + 1]))
    again.run()
    assert engine.calls == [], "it failed before, so it failed"
    assert again.ledger.spend == process.ledger.spend
    assert isinstance(again.policy.tree[0].failure, Failure)
