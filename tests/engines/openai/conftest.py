"""A server in a thread, and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from actorcritic.engines.openai.retrying import SystemTimer
from actorcritic.engines.scripted import Reply, ScriptedEngine
from tests.engines.openai.api import Api, serving

Serve = Callable[..., Api]


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class FakeTimer(SystemTimer):
    """Time passes only by sleeping; chance always draws the same."""

    def __init__(self, drawn: float = 0.0) -> None:
        super().__init__()
        self.seconds = 0.0
        self.drawn = drawn
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def draw(self) -> float:
        return self.drawn

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


@pytest.fixture
def timer() -> FakeTimer:
    return FakeTimer()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve an engine, or one that always says the same, until the test is over."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ExitStack() as stack:

        def start(says: str | Reply | ScriptedEngine = "one two three", **dials: Any) -> Api:
            if isinstance(says, str | Reply):
                engine: Any = ScriptedEngine(lambda request: says)
            else:
                engine = says
            return stack.enter_context(serving(Api(engine=engine, **dials)))

        yield start
