"""Jobs are done once, failures are data, what was paid is not paid again, and a bill is kept of every call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actorcritic.actor import ModelActor
from actorcritic.budget import Spend
from actorcritic.codec import decode
from actorcritic.collection.running import collect_step
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError, InputError, RecordError
from actorcritic.formats.chat import ChatActorFormat
from actorcritic.protocols import Capabilities
from actorcritic.tasks.oracle import OracleCritic
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.recorder import OUTCOMES, FileRecorder
from actorcritic.trajectory.shards import WHOLE, Shard
from tests.collection.world import Players, collect, engine_of, made, ordered, players
from tests.export.log import write_log

RIGHT = "Go on.\n\nThe answer is \\boxed{10}."


def lines(run: Path, step: str) -> list[dict[str, Any]]:
    path = run / OUTCOMES / f"collect-{step}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def calls_of(who: Players) -> int:
    engine = who.actor.engine
    assert isinstance(engine, ScriptedEngine)
    return len(engine.calls)


def test_what_was_made_is_not_paid_again(run: Path) -> None:
    who = players(RIGHT)
    first = collect(run, "step-rollouts:n=2", who)
    paid = calls_of(who)
    assert paid > 0 and sum(done.made for done in first.values()) > 0
    again = collect(run, "step-rollouts:n=2", who)
    assert calls_of(who) == paid
    assert sum(done.made + done.tokens for done in again.values()) == 0
    assert {name: done.before for name, done in again.items()} == {name: done.made for name, done in first.items()}


def test_other_options_seeds_and_models_are_other_jobs(run: Path) -> None:
    who = players(RIGHT)
    collect(run, "step-rollouts:n=2", who)
    for text, seed in (("step-rollouts:n=3", 0), ("step-rollouts:n=2", 1)):
        assert sum(done.made for done in collect(run, text, who, seed=seed).values()) > 0
    other = Players(ModelActor(engine_of(RIGHT, "another"), ChatActorFormat()), None)
    assert sum(done.made for done in collect(run, "step-rollouts:n=2", other).values()) > 0


def test_every_call_is_logged_and_the_bill_adds_up(run: Path) -> None:
    heard = collect(run, "step-rollouts:n=2", players(RIGHT))
    events = lines(run, "step-rollouts")
    called = [event for event in events if event["kind"] == "called"]
    bills = [decode(Spend, event["payload"]["spend"]) for event in events if event["kind"] == "derived"]
    assert sum(event["payload"]["usage"]["logical_tokens"] for event in called) == sum(
        bill.total.logical_tokens for bill in bills
    )
    assert sum(done.tokens for done in heard.values()) == sum(bill.total.logical_tokens for bill in bills)
    assert len({event["payload"]["request"]["seed"] for event in called}) == len(called)


def test_timing_changes_nothing(run: Path, tmp_path: Path) -> None:
    def one(folder: Path, concurrency: int, **engine: Any) -> list[Any]:
        script = engine_of(
            lambda request: f"Go on.\n\nThe answer is \\boxed{{{(request.seed or 0) % 3}}}.", "a", **engine
        )
        collect(folder, "resimulate:m=2", Players(ModelActor(script, ChatActorFormat()), None), concurrency=concurrency)
        return [made(folder, "resimulate", name) for name in ("apples", "bus", "coins", "desk")]

    one_by_one = one(run, 1)
    assert one(write_log(tmp_path / "other"), 64, latencies=(0.003, 0.0, 0.001)) == one_by_one


def test_an_engine_that_fails_is_asked_again_next_time(run: Path) -> None:
    failing = ScriptedEngine(lambda request: RIGHT, name="stub-actor", failures={0: EngineError("down")})
    heard = collect(run, "step-rollouts:n=2", Players(ModelActor(failing, ChatActorFormat()), None))
    assert sum(done.failed for done in heard.values()) == 1
    (failed,) = [event for event in lines(run, "step-rollouts") if event["kind"] == "failed"]
    assert failed["payload"]["failure"] == {"where": "actor", "type": "EngineError", "message": "down"}
    again = collect(run, "step-rollouts:n=2", players(RIGHT))
    assert sum(done.made for done in again.values()) == 1


def test_unreadable_text_is_a_failure_once_and_no_event_of_the_step(run: Path) -> None:
    who = players(critic="I will not do that. verdict: correct")
    heard = collect(run, "analyse-error", who)
    assert sum(done.failed for done in heard.values()) > 0 and all(done.made == 0 for done in heard.values())
    assert all(made(run, "analyse-error", name) == [] for name in heard)
    again = collect(run, "analyse-error", who)
    assert sum(done.failed for done in again.values()) == 0
    assert sum(done.before for done in again.values()) == sum(done.failed for done in heard.values())


def test_a_job_that_broke_off_goes_on_with_its_calls(run: Path) -> None:
    who = players(RIGHT)
    collect(run, "step-rollouts:n=4", who)
    whole = [made(run, "step-rollouts", name) for name in ("apples", "bus", "coins", "desk")]
    path = run / OUTCOMES / "collect-step-rollouts.jsonl"
    kept = path.read_bytes().splitlines(keepends=True)
    total = calls_of(who)
    path.write_bytes(b"".join(kept[: len(kept) // 2]) + kept[len(kept) // 2][:20])
    called = sum(b'"kind":"called"' in line for line in kept[: len(kept) // 2])
    other = players(RIGHT)
    collect(run, "step-rollouts:n=4", other)
    assert calls_of(other) == total - called, "a call that was logged is not made again"
    assert [made(run, "step-rollouts", name) for name in ("apples", "bus", "coins", "desk")] == whole


def test_stopped_at_any_moment_it_goes_on(run: Path) -> None:
    slow = ScriptedEngine(lambda request: RIGHT, name="stub-actor", latencies=(0.001, 60.0))
    step, work = ordered("step-rollouts:n=2", Players(ModelActor(slow, ChatActorFormat()), None))

    async def stop() -> None:
        task = asyncio.create_task(collect_step(run, step, work))
        while not any(call.generation for call in slow.calls):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stop())
    assert slow.running == 0
    who = players(RIGHT)
    assert sum(done.made for done in collect(run, "step-rollouts:n=2", who).values()) > 0
    done = sum(call.generation is not None for call in slow.calls)
    assert calls_of(who) + done == calls_of(players_of_fresh_run(run))


def players_of_fresh_run(run: Path) -> Players:
    """Do the same step on the log without what was collected."""
    (run / OUTCOMES / "collect-step-rollouts.jsonl").unlink()
    who = players(RIGHT)
    collect(run, "step-rollouts:n=2", who)
    return who


def test_the_search_and_its_attempts_stay_as_they_were(run: Path) -> None:
    def gist() -> list[Any]:
        return [(e.attempts, e.spend, e.failures, e.oracle) for e in read_episodes(run)]

    before = gist()
    collect(run, "resimulate:m=1", players(RIGHT))
    assert gist() == before


def test_a_limit_is_a_number_of_problems(run: Path) -> None:
    assert list(collect(run, "feedback", players(), limit=2)) == ["apples", "bus"]


@pytest.mark.parametrize("more", [{"concurrency": 0}, {"limit": 0}])
def test_a_number_below_one_is_refused(run: Path, more: dict[str, int]) -> None:
    with pytest.raises(InputError, match="must be at least 1"):
        collect(run, "feedback", players(), **more)


@pytest.mark.parametrize(
    ("writer", "shard"),
    [
        ("collect-feedback.shard-1-of-3", WHOLE),
        ("collect-feedback.shard-1-of-3", Shard(0, 2)),
        ("collect-feedback", Shard(0, 2)),
    ],
)
def test_shards_at_work_divide_a_step_in_one_way(run: Path, writer: str, shard: Shard) -> None:
    with FileRecorder(run, writer, place=OUTCOMES):
        with pytest.raises(RecordError, match="give --shard I/N with the same N"):
            collect(run, "feedback", players(), shard=shard)
        collect(run, "resimulate:m=1", players(), shard=shard)
    collect(run, "feedback", players(), shard=shard)
    with FileRecorder(run, "collect-feedback.shard-1-of-2", place=OUTCOMES):
        collect(run, "feedback", players(), shard=Shard(0, 2))


def test_one_step_is_collected_by_one_at_a_time(run: Path) -> None:
    with FileRecorder(run, "collect-feedback", place=OUTCOMES), pytest.raises(RecordError, match="in use"):
        collect(run, "feedback", players())


@pytest.mark.parametrize(
    ("text", "who", "said"),
    [
        ("critique", players(), "needs a critic"),
        ("critique", Players(players().actor, OracleCritic()), "no oracle"),
        ("analyse-error", Players(players().actor, None), "needs a critic"),
        ("refine:incorporates=yes", players(), "needs a critic"),
        ("nothing", players(), "unknown collection step 'nothing'; choose from: aggregate-critiques"),
        ("refine:k=0", players(), "option k=0 is refused"),
        ("refine:x=1", players(), "has no option 'x'"),
        ("refine:k=1,k=2", players(), "needs one value"),
    ],
)
def test_one_clear_line_for_what_cannot_work(run: Path, text: str, who: Players, said: str) -> None:
    with pytest.raises(InputError, match=said):
        collect(run, text, who)
    assert not (run / OUTCOMES).exists()


def test_a_model_that_knows_no_chat_is_not_asked_in_free_text(run: Path) -> None:
    mute = Players(ModelActor(engine_of("x", "mute", capabilities=Capabilities()), ChatActorFormat()), None)
    with pytest.raises(InputError, match="name a chat model with --actor"):
        collect(run, "rationalise", mute)
