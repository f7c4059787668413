"""From plain code, and from plain code inside a running loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextvars import ContextVar

import pytest

from actorcritic.errors import NoResult
from actorcritic.functions.methods import best_of_n
from actorcritic.functions.synchronous import run_sync
from tests.functions.world import Sampler

NAME: ContextVar[str] = ContextVar("name", default="nobody")


def scaled() -> float:
    return run_sync(best_of_n(Sampler(), lambda value: value, n=4)).value


def test_without_a_loop() -> None:
    assert scaled() == scaled()


async def test_inside_a_running_loop() -> None:
    assert scaled() == (await best_of_n(Sampler(), lambda value: value, n=4)).value
    assert asyncio.get_running_loop().is_running()


async def test_the_context_goes_along_and_errors_come_back() -> None:
    async def who() -> str:
        return NAME.get()

    NAME.set("me")
    assert run_sync(who()) == "me"
    with pytest.raises(NoResult):
        run_sync(best_of_n(Sampler(failing=frozenset({0})), lambda value: value, n=1))


def test_an_interruption_cancels_the_work() -> None:
    cancelled: list[bool] = []

    async def endless() -> float:
        try:
            ident = threading.main_thread().ident
            assert ident is not None
            while True:  # again, since Python drops an interruption that falls into a finaliser
                signal.pthread_kill(ident, signal.SIGINT)
                await asyncio.sleep(2)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def notebook() -> None:
        run_sync(best_of_n(endless, lambda value: value, n=1))

    loop = asyncio.new_event_loop()  # as a notebook's: Ctrl-C raises at once
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(notebook())
    finally:
        loop.close()
    assert cancelled == [True]
