"""An engine that comes back: when the one behind it dies, another is started in its place, so many times and no more.

A request that meets the death fails with it, since what it had brought is lost; those that come later wait for the new
engine. Works over anything that starts engines; several that live and die together (roles of one process) share one
keeper. Knows nothing of models.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.protocols import Engine, EngineInfo
from actorcritic.types import GenerateRequest, Generation, Prompt, ToolSpec

__all__ = ["RESTARTS", "RestartingEngine", "close_all", "keep_running"]

RESTARTS = 3
"""How often engines are started again unless told otherwise."""

_LOG = logging.getLogger(__name__)


def keep_running(start: Callable[[], Sequence[Engine]], *, restarts: int = RESTARTS) -> tuple[RestartingEngine, ...]:
    """Start engines that live and die together, and start them again when they die.

    An engine is dead when it raises an `EngineUnavailable` that is not retryable.

    Args:
        start: Starts them all, always the same ones in the same order; later starts run in a thread of their own.
        restarts: How often at most, over the whole life, >= 0. A start that fails counts.

    Returns:
        One engine for each that `start` returns.

    Raises:
        InputError: `restarts` is below 0, or as from `start`.
        EngineUnavailable: as from `start`: the first start is not tried again.
    """
    if restarts < 0:
        raise InputError(f"restarts must be at least 0, not {restarts}")
    keeper = _Keeper(start, restarts)
    return tuple(RestartingEngine(keeper, index) for index in range(len(keeper.engines)))


def close_all(engines: Sequence[Engine]) -> None:
    """Close engines from code that is not asynchronous, whether or not an event loop runs in its thread; blocks."""
    closing = threading.Thread(target=lambda: asyncio.run(_close(engines)), name="engine-closing")
    closing.start()
    closing.join()


class RestartingEngine:
    """One engine that is kept running; made by `keep_running`."""

    def __init__(self, keeper: _Keeper, index: int) -> None:
        self._keeper = keeper
        self._index = index
        self._info = keeper.engines[index].info

    @property
    def info(self) -> EngineInfo:
        """See `Engine.info`; that of the first start."""
        return self._info

    @property
    def restarts(self) -> int:
        """How often it was started again, failed starts included."""
        return self._keeper.restarts

    @property
    def engine(self) -> Engine:
        """The engine that answers now, which may be dead."""
        return self._keeper.engines[self._index]

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """See `Engine.encode`."""
        return self.engine.encode(prompt, tools)

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Engine.generate`; waits where the engine is being started again.

        Raises:
            EngineUnavailable: the engine died of or during this request, a new start failed, or it has died too often.
        """
        engine = await self._keeper.living(self._index)
        try:
            return await engine.generate(request)
        except EngineUnavailable as error:
            if not error.retryable:
                self._keeper.mourn(engine, error)
            raise

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await self._keeper.close(self._index)


class _Keeper:
    """The engines that live and die together. Mutable; its fields change under its lock."""

    def __init__(self, start: Callable[[], Sequence[Engine]], limit: int) -> None:
        self.restarts = 0
        self._start = start
        self._limit = limit
        self._lock = threading.Lock()
        self._death: EngineUnavailable | None = None
        self._coming: Future[None] | None = None
        self._closed: set[int] = set()
        self.engines: tuple[Engine, ...] = tuple(start())

    async def living(self, index: int) -> Engine:
        """Return an engine that is not known to be dead.

        Raises:
            EngineUnavailable: it is closed, has died too often, or could not be started.
        """
        while True:
            with self._lock:
                if index in self._closed:
                    raise EngineUnavailable("the engine is closed")
                if self._death is None:
                    return self.engines[index]
                coming = self._coming or self._restart(self._death)
            # A waiter that is cancelled leaves the others waiting: the future counts as running.
            await asyncio.wrap_future(coming)

    def mourn(self, engine: Engine, error: EngineUnavailable) -> None:
        """Note that an engine has died; late news of one that was replaced is no news."""
        with self._lock:
            if self._death is None and any(engine is one for one in self.engines):
                self._death = error

    async def close(self, index: int) -> None:
        """Close one engine; idempotent. A start under way ends first."""
        with self._lock:
            if index in self._closed:
                return
            self._closed.add(index)
            coming = self._coming
        if coming is not None:
            with suppress(EngineUnavailable):
                await asyncio.wrap_future(coming)
        await self.engines[index].aclose()

    def _restart(self, death: EngineUnavailable) -> Future[None]:
        """Begin another start, within the lock."""
        if self.restarts >= self._limit:
            raise EngineUnavailable(f"the engine has died and was started again {self.restarts} times: {death}")
        self.restarts += 1
        _LOG.warning("starting the engine again (%d of %d): %s", self.restarts, self._limit, death)
        coming = self._coming = Future[None]()
        coming.set_running_or_notify_cancel()
        # Not in the loop's own pool, for whose threads the end of the program would wait.
        threading.Thread(target=self._replace, args=(coming,), name="engine-restart", daemon=True).start()
        return coming

    def _replace(self, coming: Future[None]) -> None:
        """Let go of the dead engines, start new ones, and tell those who wait."""
        error: EngineUnavailable | None = None
        try:
            close_all(self.engines)
            new = tuple(self._start())
            close_all([new[index] for index in self._closed])
        except Exception as failure:  # noqa: BLE001 - reaches every request that waits for the start
            error = EngineUnavailable(f"the engine could not be started again: {failure}")
        else:
            with self._lock:
                self.engines = new
        with self._lock:
            self._death, self._coming = error, None
        if error is None:
            coming.set_result(None)
        else:
            coming.set_exception(error)


async def _close(engines: Sequence[Engine]) -> None:
    for engine in engines:
        await engine.aclose()
