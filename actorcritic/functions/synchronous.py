"""From code that is not asynchronous into code that is. Knows nothing of searches."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

__all__ = ["run_sync"]

T = TypeVar("T")

LOOK = 0.2
"""Seconds after which a waiting thread looks for a signal again: it misses one that comes just as it begins to wait."""


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return what it returns: `run_sync(best_of_n(fn, score))`.

    Without a running event loop it is `asyncio.run`. Inside one, as in a notebook, it runs in a thread with a loop of
    its own, in a copy of the caller's context, and **the caller's loop stands still meanwhile**: in a coroutine write
    `await` instead. What belongs to the caller's loop (a client with open connections, a lock) must not be used by the
    function; let it make its own. A KeyboardInterrupt, or what else a signal handler raises, cancels the work and is
    raised once that has ended.
    """
    return _run_elsewhere(work) if _is_running() else asyncio.run(work)


def _is_running() -> bool:
    """Return whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread and wait for it there."""
    ready: Future[bool] = Future()
    stop: Future[Callable[[], object]] = Future()

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # a coroutine that runs has one
        stop.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work

    def begin() -> T:
        # Not before the caller waits: an interruption that comes while the thread is made would leave it alone.
        if not ready.result():
            work.close()
            raise asyncio.CancelledError
        return asyncio.run(main())

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="actorcritic") as pool:
        try:
            done = pool.submit(contextvars.copy_context().run, begin)
            ready.set_result(True)
            while not done.done():
                wait([done], timeout=LOOK)
        except BaseException:  # an interruption, or whatever else a signal handler raises in this thread
            if not ready.done():
                ready.set_result(False)
            else:
                with contextlib.suppress(RuntimeError):  # its loop is closed already: it has ended
                    stop.result()()
            raise
        return done.result()
