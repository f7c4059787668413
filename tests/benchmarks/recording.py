"""What benchmarks of engines write down of every request, and what they reckon from it. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from actorcritic.graphs.session import SilentJournal
from actorcritic.metering import Call
from actorcritic.protocols import Engine, EngineInfo
from actorcritic.types import FinishReason, GenerateRequest, Generation, Prompt, ToolSpec, Trial

__all__ = ["Asked", "BillingJournal", "Moment", "Recorder", "Speed", "billed_twice", "prefix_share", "speed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that was answered."""

    request: GenerateRequest
    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    start: float
    """Seconds of a clock."""
    end: float
    cached: int = 0
    """Prompt tokens that the engine did not compute again."""
    text: str = ""
    complete: bool = True


class Recorder:
    """An engine that writes down what it is asked. Mutable."""

    def __init__(self, engine: Engine) -> None:
        self.asked: list[Asked] = []
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        """See `Engine.info`."""
        return self._engine.info

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """See `Engine.encode`."""
        return self._engine.encode(prompt, tools)

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Engine.generate`."""
        start = time.monotonic()
        given = await self._engine.generate(request)
        asked = Asked(
            request=request,
            prompt=given.prompt_ids,
            completion=given.token_ids,
            start=start,
            end=time.monotonic(),
            cached=given.usage.cached_tokens,
            text=given.text,
            complete=given.finish_reason is FinishReason.STOP,
        )
        self.asked.append(asked)
        return given

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await self._engine.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment of a run."""

    time: float
    """Seconds of a clock."""
    processor: float
    """Seconds of processor time that the engine's process had spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast completion tokens came."""

    clock: float
    """Per second of the clock."""
    processor: float
    """Per second of the engine's processor time, times the share of the clock in which it had work: what other
    programs disturb least."""


def speed(asked: Sequence[Asked], begin: Moment, end: Moment) -> Speed:
    """Return how fast tokens came between two moments.

    A request that was under way at the end counts with the share of its time that had passed.
    """
    tokens = sum(len(one.completion) * _share(one, end.time) for one in asked)
    seconds = end.time - begin.time
    busy = _covered(asked, begin.time, end.time) / seconds
    return Speed(clock=tokens / seconds, processor=tokens / (end.processor - begin.processor) * busy)


def _share(one: Asked, stop: float) -> float:
    return min(1.0, max(0.0, (stop - one.start) / max(one.end - one.start, 1e-9)))


def _covered(asked: Sequence[Asked], begin: float, end: float) -> float:
    """Return for how many seconds between two times at least one request was under way."""
    covered, done = 0.0, begin
    for one in sorted(asked, key=lambda one: one.start):
        start, stop = max(one.start, done), min(one.end, end)
        if stop > start:
            covered += stop - start
            done = stop
    return covered


def prefix_share(asked: Sequence[Asked], *, block: int, least: int) -> dict[str, float]:
    """Return how much of what could have been shared was shared, in whole blocks.

    A prompt could have shared the blocks with which any prompt asked for before began, and those of the completions
    that had ended by then; the last token of a prompt is always computed.

    Args:
        asked: requests that began with an empty cache.
        block: tokens of a cache block.
        least: prompts with fewer tokens are left out.
    """
    by_start = sorted(asked, key=lambda one: one.start)
    by_end = sorted(asked, key=lambda one: one.end)
    known: set[tuple[int, ...]] = set()
    ended = could = did = counted = 0
    for one in by_start:
        while ended < len(by_end) and by_end[ended].end <= one.start:
            # The last token of a completion was drawn, never read.
            known.update(_blocks((*by_end[ended].prompt, *by_end[ended].completion[:-1]), block))
            ended += 1
        blocks = list(_blocks(one.prompt[:-1], block))
        shareable = next((i for i, prefix in enumerate(blocks) if prefix not in known), len(blocks)) * block
        if len(one.prompt) >= least:
            counted += 1
            could += shareable
            did += min(one.cached, shareable)
        known.update(_blocks(one.prompt, block))
    return {"share": round(did / could, 4) if could else 0.0, "tokens_shareable": could, "prompts": counted}


def _blocks(ids: tuple[int, ...], block: int) -> list[tuple[int, ...]]:
    """Return the beginnings of some ids that end with a whole block."""
    return [ids[:end] for end in range(block, len(ids) + 1, block)]


@dataclass(slots=True)
class BillingJournal(SilentJournal):
    """Keeps every call of a problem by trial. Mutable."""

    calls: list[tuple[int, Call]] = field(default_factory=list[tuple[int, Call]])

    def called(self, trial: Trial, call: Call) -> None:
        """See `Journal.called`."""
        self.calls.append((trial.id, call))


def billed_twice(calls: Sequence[tuple[int, Call]], billed: int) -> int:
    """Return how many tokens of a problem's bill stand on it once more than they should.

    Reckoned anew: in the order of the trials, each call's prompt tokens after the longest beginning that is known
    already, and its completion; a call that was made before, under the same seed, costs nothing.

    Args:
        calls: by trial.
        billed: logical tokens on the bill.
    """
    known: set[tuple[str, tuple[int, ...]]] = set()
    made: set[tuple[int, str, int | None]] = set()
    owed = 0
    for trial, call in sorted(calls, key=lambda item: item[0]):
        key = (trial, call.role, call.request.seed)
        if call.generation is not None and key in made:
            continue
        if call.generation is not None:
            made.add(key)
        prompt, whole = call.charge.prompt_ids, call.charge.prompt_ids + call.charge.completion_ids
        owed += sum((call.model, prompt[:end]) not in known for end in range(1, len(prompt) + 1))
        owed += call.charge.usage.completion_tokens
        known.update((call.model, whole[:end]) for end in range(1, len(whole) + 1))
    return billed - owed
