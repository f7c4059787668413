"""Where vLLM lives: a thread with an event loop of its own, which any event loop of this process may ask.

So a model loaded once serves one `asyncio.run` after another, and what vLLM does between tokens does not wait for the
program's own work. Knows vLLM by `Started` alone.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from uuid import uuid4

from actorcritic.engines.vllm.options import Adapter
from actorcritic.engines.vllm.startup import Started, explain
from actorcritic.errors import EngineError, EngineUnavailable, InputError

__all__ = ["Host"]


class Host:
    """A running vLLM. Mutable; safe to use from several threads.

    Attributes:
        started: the vLLM that runs.
        dead: whether its process has died.
    """

    def __init__(self, start: Callable[[], Coroutine[Any, Any, Started]]) -> None:
        """Start vLLM and wait until it takes requests.

        Args:
            start: starts it in the event loop that it is called in.

        Raises:
            EngineUnavailable: see `start_vllm`.
            InputError: likewise.
        """
        self.dead = False
        self._lock = threading.Lock()
        self._users: set[object] = set()
        self._ended = False
        self._flying: dict[asyncio.Task[Any], object] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="vllm", daemon=True)
        self._thread.start()
        try:
            self.started = asyncio.run_coroutine_threadsafe(self._begin(start), self._loop).result()
        except Exception:
            self._end_thread()
            raise
        except BaseException:
            # Interrupted: the start cannot be broken off, but ends itself when it is through.
            self._ended = True
            raise
        atexit.register(self._end)

    @property
    def running(self) -> int:
        """How many requests are in flight."""
        return len(self._flying)

    def open(self, user: object) -> None:
        """Count one more user."""
        with self._lock:
            self._users.add(user)

    async def ask(
        self, user: object, ids: tuple[int, ...], sampling: Mapping[str, Any], adapter: Adapter | None
    ) -> Any:
        """Return vLLM's final `RequestOutput` for one prompt; cancelling it stops the request in vLLM.

        Raises:
            EngineUnavailable: the user has been released, or vLLM has died.
            InputError: vLLM does not take the request.
            EngineError: it failed of this request alone.
        """
        with self._lock:
            if user not in self._users:
                raise EngineUnavailable("the engine is closed")
            answer = asyncio.run_coroutine_threadsafe(self._answer(user, ids, sampling, adapter), self._loop)
        return await asyncio.wrap_future(answer)

    async def release(self, user: object) -> None:
        """Stop a user's requests, and end vLLM's processes with the last user; idempotent."""
        with self._lock:
            if user not in self._users:
                return
            self._users.discard(user)
            stopped = asyncio.run_coroutine_threadsafe(self._cancel(user), self._loop)
            last = not self._users
        await asyncio.wrap_future(stopped)
        if last:
            await asyncio.to_thread(self._end)

    async def _begin(self, start: Callable[[], Coroutine[Any, Any, Started]]) -> Started:
        """Start vLLM; ends it at once where nobody wants it any more."""
        started = await start()
        if self._ended:
            started.stop()
            self._loop.stop()
        return started

    async def _answer(
        self, user: object, ids: tuple[int, ...], sampling: Mapping[str, Any], adapter: Adapter | None
    ) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._flying[task] = user
        vllm = self.started
        try:
            lora = None if adapter is None else vllm.adapter(adapter)
            asked = vllm.llm.generate(
                {"prompt_token_ids": list(ids)}, vllm.sampling(sampling), uuid4().hex, lora_request=lora
            )
            final: Any = None
            async for output in asked:
                final = output
        except asyncio.CancelledError:
            if user not in self._users:
                raise EngineUnavailable("the engine was closed") from None
            raise
        except vllm.died as error:
            self.dead = True
            cause = vllm.cause()
            why = f": {explain(cause)}" if cause else " (killed from outside, or crashed without a word)"
            raise EngineUnavailable(f"vLLM's engine process has died{why}") from error
        except vllm.refused as error:
            raise InputError(f"vLLM refuses the request: {explain(str(error))}") from error
        except Exception as error:  # whatever vLLM fails of in one request concerns that request alone
            raise EngineError(f"vLLM failed: {explain(str(error.__cause__ or error))}", retryable=True) from error
        finally:
            del self._flying[task]
        if final is None or not final.outputs:
            raise EngineError("vLLM returned nothing for a request", retryable=True)
        return final

    async def _cancel(self, user: object) -> None:
        """Cancel what a user has in flight and wait until vLLM knows."""
        mine = [task for task, whose in self._flying.items() if whose is user]
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine)

    def _end(self) -> None:
        """End vLLM's processes and the thread; blocks, idempotent."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._users.clear()
        atexit.unregister(self._end)
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._end_thread()

    async def _stop(self) -> None:
        self.started.stop()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
