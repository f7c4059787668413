"""Several engines behind one: load is spread, the same beginning goes home, the dead are dropped and come back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace

import pytest

from actorcritic.engines.conformance import check_closing, run_checks
from actorcritic.engines.fleet import FleetEngine
from actorcritic.engines.load import load_engine
from actorcritic.engines.openai.retrying import RetryPolicy
from actorcritic.engines.scripted import ALL_CAPABILITIES, ScriptedEngine
from actorcritic.errors import EngineError, EngineUnavailable, InputError
from actorcritic.metering import free_meter
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.types import GenerateRequest, Generation, Message, Prompt, ToolSpec
from tests.engines.openai.api import Api, Reaction, serving
from tests.engines.openai.conftest import FakeTimer, Serve, free_port, serve, timer

__all__ = ["serve", "timer"]


def request(content: str | tuple[Message, ...] = "hello", *, seed: int | None = None) -> GenerateRequest:
    return GenerateRequest(prompt=Prompt(content=content), max_tokens=8, seed=seed)


def go_on(asked: GenerateRequest) -> str:
    """Go on with the only text there is, from where the prefill ends."""
    return "one two three"[len(asked.prompt.prefill) % 13 :]


class Server(ScriptedEngine):
    """Can be switched off, counts what it gets, and holds its answers back while told to."""

    def __init__(
        self, name: str, capabilities: Capabilities = ALL_CAPABILITIES, max_context: int | None = None
    ) -> None:
        super().__init__(go_on, capabilities=capabilities, max_context=max_context, name="m")
        self.place = name
        self.dead = False
        self.checks = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, name=self.place, notes=(f"{self.place} lacks nothing",))

    async def generate(self, request: GenerateRequest) -> Generation:
        if self.dead:
            raise EngineUnavailable(f"{self.place} is dead")
        await self.gate.wait()
        return await super().generate(request)

    async def encode_later(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        if self.dead:
            raise EngineUnavailable(f"{self.place} is dead")
        return self.encode(prompt, tools)

    async def check_health(self) -> None:
        self.checks += 1
        if self.dead:
            raise EngineUnavailable(f"{self.place} is dead")


def fleet(timer: FakeTimer, count: int = 3, slack: int = 8) -> tuple[FleetEngine, list[Server]]:
    servers = [Server(f"s{place}") for place in range(count)]
    return FleetEngine(servers, slack=slack, timer=timer, retry=RetryPolicy(attempts=3)), servers


def shares(servers: list[Server]) -> list[int]:
    return [len(server.calls) for server in servers]


async def test_a_fleet_keeps_the_promises_of_an_engine(timer: FakeTimer) -> None:
    whole, _ = fleet(timer)
    failed = [result for result in await run_checks(whole, "one two three") if result.outcome == "failed"]
    assert not failed
    await check_closing(whole)


async def test_load_is_spread(timer: FakeTimer) -> None:
    whole, servers = fleet(timer, slack=0)
    for server in servers:
        server.gate.clear()
    tasks = [asyncio.create_task(whole.generate(request(seed=seed))) for seed in range(12)]
    await asyncio.sleep(0)
    for server in servers:
        server.gate.set()
    await asyncio.gather(*tasks)
    assert shares(servers) == [4, 4, 4]
    await whole.aclose()


async def test_the_same_beginning_goes_to_the_same_engine_until_that_is_too_busy(timer: FakeTimer) -> None:
    whole, servers = fleet(timer, slack=2)
    for asked in range(30):
        history = (Message(role="system", content="s"), Message(role="user", content="first question"))
        later = (*history, Message(role="assistant", content=f"{asked}"), Message(role="user", content="and?"))
        await whole.generate(request(later))
    assert sorted(shares(servers)) == [0, 0, 30]
    for number in range(60):
        await whole.generate(request(f"problem {number}"))
    assert min(shares(servers)) >= 8
    for server in servers:
        server.gate.clear()
        server.calls.clear()
    tasks = [asyncio.create_task(whole.generate(request("same"))) for _ in range(9)]
    await asyncio.sleep(0)
    for server in servers:
        server.gate.set()
    await asyncio.gather(*tasks)
    assert max(shares(servers)) <= 5 and sum(shares(servers)) == 9
    await whole.aclose()


async def test_a_dead_one_is_dropped_its_requests_go_elsewhere_and_it_comes_back(timer: FakeTimer) -> None:
    whole, servers = fleet(timer, count=2, slack=0)
    servers[0].dead = True
    for seed in range(4):
        assert (await whole.generate(request(seed=seed))).text == "one two three"
    assert shares(servers) == [0, 4] and list(whole.alive) == ["s1"]
    # Its health is not asked for before its time, then with longer and longer pauses.
    assert servers[0].checks == 0
    for expected in (1, 1, 2):
        timer.seconds += 0.6
        await whole.generate(request())
        await asyncio.sleep(0)
        assert servers[0].checks == expected
    servers[0].dead = False
    timer.seconds += 60
    await whole.generate(request())
    await asyncio.sleep(0)
    assert list(whole.alive) == ["s0", "s1"]
    await whole.generate(request())
    assert shares(servers)[0] == 1
    await whole.aclose()


async def test_all_dead_is_waited_for_within_bounds_and_each_is_named(timer: FakeTimer) -> None:
    whole, servers = fleet(timer, count=2)
    for server in servers:
        server.dead = True
    with pytest.raises(EngineUnavailable, match=r"none of 2 servers answers: s0 is dead; s1 is dead"):
        await whole.generate(request())
    assert timer.slept == [0.5, 1.0]
    with pytest.raises(EngineUnavailable, match="counts tokens"):
        await whole.encode_later(Prompt(content="x"))
    servers[1].dead = False
    assert (await whole.generate(request())).text == "one two three"
    await whole.aclose()


async def test_what_another_would_refuse_too_is_not_asked_of_it(timer: FakeTimer) -> None:
    servers = [
        ScriptedEngine(lambda asked: "x", failures={0: EngineError("a bad request")}, name="m") for _ in range(2)
    ]
    whole = FleetEngine(servers, timer=timer)
    with pytest.raises(EngineError, match="a bad request"):
        await whole.generate(request())
    assert sorted(len(server.calls) for server in servers) == [0, 1]
    await whole.aclose()


async def test_a_fleet_can_do_what_every_one_can(timer: FakeTimer) -> None:
    poor = Capabilities(chat=True, logprobs=True, top_logprobs=5, exact_counts=True)
    whole = FleetEngine([Server("a", max_context=100), Server("b", poor, max_context=50)], timer=timer)
    assert whole.info.capabilities == poor and whole.info.max_context == 50
    assert whole.info.name == "a + b" and len(whole.info.notes) == 2
    meter = free_meter()
    await meter.generate(whole, request(), role="actor")
    assert meter.calls[0].charge.prompt_ids == whole.encode(Prompt(content="hello"))
    await whole.aclose()


@pytest.mark.parametrize("ability", [item.name for item in fields(Capabilities)])
def test_an_ability_is_the_fleets_where_every_one_has_it(ability: str) -> None:
    able = getattr(ALL_CAPABILITIES, ability)
    assert able, "the double can do all there is"
    assert getattr(FleetEngine([Server("a"), Server("b")]).info.capabilities, ability) == able
    without = replace(ALL_CAPABILITIES, **{ability: type(able)(0)})
    found = FleetEngine([Server("a"), Server("b", without)]).info.capabilities
    assert found == without


async def test_a_fleet_scores_a_given_text(timer: FakeTimer) -> None:
    whole, _ = fleet(timer)
    assert whole.info.capabilities.scores_text
    results = {result.name: result.outcome for result in await run_checks(whole, "one two three")}
    assert results["scoring"] == "passed", results
    await whole.aclose()


def test_one_model_in_a_fleet() -> None:
    with pytest.raises(InputError, match="must hold one model"):
        FleetEngine([ScriptedEngine([], name="a"), ScriptedEngine([], name="b")])
    with pytest.raises(InputError, match="at least one"):
        FleetEngine([])


async def test_servers_are_a_fleet_in_one_string(serve: Serve) -> None:
    apis = [serve(), serve()]
    whole = load_engine(f"openai:m@{apis[0].url},{apis[1].url}#concurrency=4")
    assert isinstance(whole, FleetEngine)
    assert len([*whole.alive]) == 2
    apis[0].always = Reaction(status=503)
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(whole.generate(request(f"problem {number}")))
    told = Counter({"dead": len(apis[0].requests), "well": len(apis[1].requests)})
    assert told["well"] == 10 and 0 < told["dead"] <= 10 and len([*whole.alive]) == 1
    await whole.aclose()


async def test_a_fleet_begins_with_those_that_are_up_and_takes_in_the_others_later(
    serve: Serve, timer: FakeTimer
) -> None:
    api = serve()
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    whole = load_engine(f"openai:m@{url},{api.url}")
    assert isinstance(whole, FleetEngine)
    whole._timer = timer
    assert list(whole.alive) == [f"openai:m@{api.url}"]
    assert (await whole.generate(request())).text == "one two three"

    async def look(seconds: float) -> list[str]:
        """Return who is up after the health checks that are due by then."""
        timer.seconds += seconds
        await whole.generate(request())
        probes = [member.probe for member in whole._members if member.probe is not None]
        await asyncio.gather(*probes)
        return list(whole.alive)

    whole._members[0].next_probe = timer.now()
    assert len(await look(1)) == 1  # still nobody there
    with serving(Api(engine=ScriptedEngine(lambda asked: "one two three"), vllm=True, model="another"), port):
        assert len(await look(100)) == 1  # somebody, with another model
    with serving(Api(engine=ScriptedEngine(lambda asked: "one two three")), port):
        assert len(await look(1000)) == 2
    await whole.aclose()
    with pytest.raises(EngineUnavailable, match="no server of the fleet answers") as caught:
        load_engine(f"openai:m@{url},http://127.0.0.1:{free_port()}")
    assert url in str(caught.value)
