"""A vLLM in this process: answers with ids of its own, dies and refuses when told to, knows who left it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any

from actorcritic.engines.vllm.startup import Started


class Died(Exception):
    """The engine process is gone."""


class Refused(Exception):
    """A request that it does not take."""


class FakeVllm:
    """Counts what reaches it; `hold` keeps requests until it is set."""

    def __init__(self, ids: tuple[int, ...] = (30, 31, 32)) -> None:
        self.ids = ids
        self.asked: list[dict[str, Any]] = []
        self.aborted = 0
        self.stopped = 0
        self.failure: Exception | None = None
        self.reason: str | None = "stop"
        self.outputs: list[Any] | None = None
        self.prompt_logprobs: list[Any] | None = None
        self.hold: asyncio.Event | None = None
        self.log = ""

    async def start(self) -> Started:
        return Started(
            llm=self,
            max_context=80,
            dtype="float32",
            sampling=dict,
            adapter=lambda adapter: f"adapter {adapter.number}",
            died=(Died,),
            refused=(Refused,),
            cause=lambda: self.log,
            stop=self.stop,
        )

    def starting(self) -> Coroutine[Any, Any, Started]:
        return self.start()

    def stop(self) -> None:
        self.stopped += 1

    async def generate(
        self, prompt: Mapping[str, Any], sampling: Mapping[str, Any], request_id: str, *, lora_request: Any
    ) -> AsyncIterator[Any]:
        self.asked.append({**prompt, **sampling, "lora": lora_request, "id": request_id})
        try:
            while self.hold is not None and not self.hold.is_set() and self.failure is None:
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        if self.failure is not None:
            raise self.failure
        yield self.output(sampling)

    def output(self, sampling: Mapping[str, Any]) -> Any:
        ids = self.ids[: sampling["max_tokens"]]
        logprobs = [
            {token: SimpleNamespace(logprob=-0.5), 40: SimpleNamespace(logprob=-1.0), 41: SimpleNamespace(logprob=-9.0)}
            for token in ids
        ]
        answer = SimpleNamespace(
            token_ids=list(ids), logprobs=logprobs if "logprobs" in sampling else None, finish_reason=self.reason
        )
        outputs = [answer] if self.outputs is None else self.outputs
        return SimpleNamespace(outputs=outputs, num_cached_tokens=3, prompt_logprobs=self.prompt_logprobs)
