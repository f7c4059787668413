"""A scoring engine without a model: says what it was told to say of a question and its steps, and writes no token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

from actorcritic.engines.scripted import ALL_CAPABILITIES
from actorcritic.errors import EngineError
from actorcritic.protocols import EngineInfo
from actorcritic.types import FinishReason, GenerateRequest, Generation, Message, Prompt, ToolSpec, Usage


class ScoringDouble:
    """Answers with what a function makes of the steps: an object that becomes JSON, a text, or an error.

    Attributes:
        calls: how many requests it answered.
    """

    def __init__(self, answer: Callable[[Sequence[str]], object], *, latencies: Sequence[float] = ()) -> None:
        self.calls = 0
        self._answer = answer
        self._latencies = tuple(latencies)
        self.info = EngineInfo(model="double", name="prm", capabilities=ALL_CAPABILITIES)

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """One id per character."""
        return tuple(map(ord, "\n".join(texts(prompt))))

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer, after its latency."""
        number, self.calls = self.calls, self.calls + 1
        if self._latencies:
            await asyncio.sleep(self._latencies[number % len(self._latencies)])
        answer = self._answer(texts(request.prompt)[1:])
        if isinstance(answer, EngineError):
            raise answer
        ids = self.encode(request.prompt)
        return Generation(
            text=answer if isinstance(answer, str) else json.dumps(answer),
            finish_reason=FinishReason.STOP,
            usage=Usage(calls=1, prompt_tokens=len(ids)),
            prompt_ids=ids,
        )

    async def aclose(self) -> None:
        """Nothing to free."""


def texts(prompt: Prompt) -> list[str]:
    """Return the messages of a prompt."""
    return [message.content for message in prompt.content if isinstance(message, Message)]
