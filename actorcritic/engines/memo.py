"""An engine that answers the same request from memory, for comparisons in which many strategies draw the same samples.

Only over an engine with `seeds`, where asking again would bring the same completion; usage is reported as if it had
been made again, so that bills stay comparable. Keeps everything until it is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actorcritic.errors import InputError
from actorcritic.protocols import Engine, EngineInfo
from actorcritic.types import FinishReason, GenerateRequest, Generation, Prompt, ToolSpec

__all__ = ["MemoEngine"]


class MemoEngine:
    """Remembers what an engine said. Mutable.

    Attributes:
        hits: requests that were answered from memory.
    """

    def __init__(self, engine: Engine) -> None:
        """Remember for an engine.

        Raises:
            InputError: its completions do not follow from the request alone.
        """
        if not engine.info.capabilities.seeds:
            raise InputError(f"{engine.info.name} does not promise the same completion for the same seed")
        self.hits = 0
        self._engine = engine
        self._known: dict[GenerateRequest, Generation] = {}

    @property
    def info(self) -> EngineInfo:
        """See `Engine.info`."""
        return self._engine.info

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """See `Engine.encode`."""
        return self._engine.encode(prompt, tools)

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Engine.generate`; a completion that ended by itself is the answer to any longer limit too."""
        if not _is_repeatable(request):
            return await self._engine.generate(request)
        known = self._known.get(_key(request))
        if known is not None and known.usage.completion_tokens <= request.max_tokens:
            self.hits += 1
            return known
        generation = await self._engine.generate(request)
        self.remember(request, generation)
        return generation

    def remember(self, request: GenerateRequest, generation: Generation) -> None:
        """Take over what the engine said before, such as in an earlier life of a run."""
        if _is_repeatable(request) and generation.finish_reason is FinishReason.STOP:
            self._known[_key(request)] = generation

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        self._known.clear()
        await self._engine.aclose()


def _is_repeatable(request: GenerateRequest) -> bool:
    """Return whether the completion follows from what the key holds."""
    return request.seed is not None and request.json_schema is None and not request.tools and request.max_tokens > 0


def _key(request: GenerateRequest) -> GenerateRequest:
    """Return a request without its limit: a shorter completion is the same one."""
    return replace(request, max_tokens=1)
