"""The requests that an engine is working on, so that closing it ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from actorcritic.errors import EngineUnavailable

__all__ = ["InFlight"]

T = TypeVar("T")


class InFlight:
    """Runs requests until it is closed. Mutable."""

    def __init__(self, name: str) -> None:
        """Begin with none; `name` is the engine's."""
        self._name = name
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, request: Coroutine[Any, Any, T]) -> T:
        """Return what a request brings; cancelling the caller cancels it.

        Raises:
            EngineUnavailable: the engine was closed meanwhile.
        """
        task = asyncio.create_task(request)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is None or not caller.cancelling():
                self.refuse_closed()
            raise

    def refuse_closed(self) -> None:
        """Raise where the engine is closed.

        Raises:
            EngineUnavailable: it is.
        """
        if self._closed:
            raise EngineUnavailable(f"{self._name} is closed")

    def close(self) -> None:
        """End every request with `EngineUnavailable`, now and from now on. Idempotent."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
