"""The thread in which vLLM lives: asked from any loop, cancelled, closed, and told of a death, it answers everybody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from actorcritic.engines.vllm.host import Host
from actorcritic.engines.vllm.options import Adapter
from actorcritic.engines.vllm.startup import Started
from actorcritic.errors import EngineError, EngineUnavailable, InputError
from tests.engines.vllm.fake import Died, FakeVllm, Refused

USER = object()
SAMPLING = {"max_tokens": 2}


@pytest.fixture
def vllm() -> FakeVllm:
    return FakeVllm()


@pytest.fixture
async def host(vllm: FakeVllm) -> AsyncIterator[Host]:
    made = Host(vllm.starting)
    made.open(USER)
    yield made
    await made.release(USER)


async def ask(host: Host, user: object = USER, adapter: Adapter | None = None) -> list[int]:
    output = await host.ask(user, (1, 2), SAMPLING, adapter)
    return list(output.outputs[0].token_ids)


async def flying(host: Host, count: int) -> None:
    while host.running != count:
        await asyncio.sleep(0.001)


async def test_answers_and_names_the_adapter(host: Host, vllm: FakeVllm) -> None:
    assert await ask(host) == await ask(host, adapter=Adapter(number=2, path="x")) == [30, 31]
    assert [call["lora"] for call in vllm.asked] == [None, "adapter 2"]
    assert vllm.asked[0]["prompt_token_ids"] == [1, 2] and vllm.asked[0]["id"] != vllm.asked[1]["id"]


def test_one_loop_after_another(vllm: FakeVllm) -> None:
    host = Host(vllm.starting)
    host.open(USER)
    assert asyncio.run(ask(host)) == asyncio.run(ask(host)) == [30, 31]
    asyncio.run(host.release(USER))
    assert vllm.stopped == 1


async def test_cancelling_reaches_vllm_and_nobody_else(host: Host, vllm: FakeVllm) -> None:
    vllm.hold = asyncio.Event()
    tasks = [asyncio.create_task(ask(host)) for _ in range(3)]
    await flying(host, 3)
    tasks[1].cancel()
    await flying(host, 2)
    assert vllm.aborted == 1
    vllm.hold.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[0] == done[2] == [30, 31] and isinstance(done[1], asyncio.CancelledError)


async def test_the_last_user_ends_it_and_flights_hear_of_it(vllm: FakeVllm) -> None:
    host, other = Host(vllm.starting), object()
    host.open(USER)
    host.open(other)
    vllm.hold = asyncio.Event()
    mine, theirs = asyncio.create_task(ask(host)), asyncio.create_task(ask(host, other))
    await flying(host, 2)
    await host.release(USER)
    await host.release(USER)
    with pytest.raises(EngineUnavailable, match="was closed"):
        await mine
    with pytest.raises(EngineUnavailable, match="is closed"):
        await ask(host)
    assert not theirs.done() and vllm.stopped == 0
    vllm.hold.set()
    assert await theirs == [30, 31]
    await host.release(other)
    assert vllm.stopped == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "vllm"]


async def test_a_death_reaches_every_waiting_request(host: Host, vllm: FakeVllm) -> None:
    vllm.hold, vllm.log = asyncio.Event(), "CUDA out of memory"
    tasks = [asyncio.create_task(ask(host)) for _ in range(5)]
    await flying(host, 5)
    vllm.failure = Died()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, EngineUnavailable) and not error.retryable for error in done)
    assert "process has died: CUDA out of memory (give it less" in str(done[0])
    assert host.dead
    vllm.log = ""
    with pytest.raises(EngineUnavailable, match="killed from outside"):
        await ask(host)


async def test_a_request_that_fails_alone(host: Host, vllm: FakeVllm) -> None:
    vllm.failure = Refused("schema:\n too deep")
    with pytest.raises(InputError, match="vLLM refuses the request: schema: too deep"):
        await ask(host)
    vllm.failure = RuntimeError("odd")
    with pytest.raises(EngineError, match="vLLM failed: odd") as error:
        await ask(host)
    assert error.value.retryable and not isinstance(error.value, EngineUnavailable) and not host.dead
    vllm.failure, vllm.outputs = None, []
    with pytest.raises(EngineError, match="nothing"):
        await ask(host)


def test_a_start_that_fails_leaves_no_thread() -> None:
    async def start() -> None:
        raise EngineUnavailable("no room")

    with pytest.raises(EngineUnavailable, match="no room"):
        Host(start)  # type: ignore[arg-type]  # never returns
    assert not [thread for thread in threading.enumerate() if thread.name == "vllm"]


async def test_a_start_that_is_interrupted_ends_what_it_started(
    vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, submit = threading.Event(), asyncio.run_coroutine_threadsafe

    async def start() -> Started:
        gate.wait()
        return await vllm.start()

    def interrupted(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> SimpleNamespace:
        submit(work, loop)

        def result() -> None:
            raise KeyboardInterrupt

        return SimpleNamespace(result=result)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Host(start)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "vllm"]
    assert vllm.stopped == 0
    gate.set()
    thread.join(10)
    assert vllm.stopped == 1 and not thread.is_alive()
