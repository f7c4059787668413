"""What engines that score share: requests become batches, numbers become an answer.

A request is a question and one assistant message per step; the answer is a JSON object with `score` and `steps`, and no
token is written. A kind of it runs the model over a batch, in a thread. Knows neither torch nor vLLM.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actorcritic.engines.memory import SCORING, describe_failure
from actorcritic.engines.reward_formats import RewardFormat, Scoring
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.protocols import EngineInfo
from actorcritic.search.ranking import combine
from actorcritic.types import FinishReason, GenerateRequest, Generation, Prompt, ToolSpec, Usage

__all__ = ["BatchScorer", "ScoringOptions"]

_PROMPTS_KEPT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """How a reward model runs."""

    device: str = "auto"
    """`auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ..."""
    dtype: str = "auto"
    """`auto`: float32 on the CPU, bfloat16 on a GPU."""
    max_batch: int = 16
    """Solutions in one forward pass at most, >= 1."""
    reduce: str | None = None
    """How one score is made of the steps': `min`, `product`, `last` or `mean`; None = as the format's publishers do."""
    licence: str | None = None
    """SPDX id of the model's licence, for provenance."""

    def __post_init__(self) -> None:
        """Refuse a batch without room."""
        if self.max_batch < 1:
            raise InputError(f"max_batch is {self.max_batch}: it must be at least 1")


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A solution that is to be scored. Mutable: it gets its scores."""

    scoring: Scoring
    done: asyncio.Future[list[float]]


class BatchScorer(ABC):
    """Scores solutions, many at once.

    Args:
        tokenizer: a fast one of the transformers library.
        format: how the model reads a solution.
        reduce: how one score is made of the steps'; None = as the format's publishers do.
        max_batch: solutions in one batch at most.
    """

    def __init__(self, tokenizer: Any, format: RewardFormat, *, reduce: str | None, max_batch: int) -> None:
        self._tokenizer = tokenizer
        self._format = format
        self._reduce = reduce or format.reduce
        self._max_batch = max_batch
        self._closed = False
        # Apart from the model's: to count a prompt must never wait for a forward pass.
        self._reading = threading.Lock()
        self._read: OrderedDict[Prompt, Scoring] = OrderedDict()
        self._waiting: list[_Waiting] = []
        self._drain: asyncio.Task[None] | None = None

    # --- what a kind adds ------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """Who scores."""

    @abstractmethod
    def _length(self, scoring: Scoring) -> int:
        """Return how long a solution is with its padding; only those of one length share a batch."""

    @abstractmethod
    def _score(self, batch: Sequence[Scoring]) -> list[list[float]]:
        """Return the scores at each solution's marks; runs in a thread, one batch at a time."""

    @abstractmethod
    def _free(self) -> None:
        """Let go of the model; blocks, idempotent."""

    # --- the engine ------------------------------------------------------------------------------------------------

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return the ids of a question and its steps exactly as the model reads them."""
        return self._lay_out(prompt).ids

    async def generate(self, request: GenerateRequest) -> Generation:
        """Score one solution; many may be in flight. What is drawn, stopped or asked for besides does not matter.

        Raises:
            InputError: the prompt is no question with steps.
            PromptTooLong: the solution exceeds the context.
            EngineUnavailable: the engine is closed, or its process has died.
            EngineError: the model failed of this batch.
        """
        self._check_open()
        scoring = self._lay_out(request.prompt)
        limit = self.info.max_context
        if limit is not None and len(scoring.ids) > limit:
            raise PromptTooLong(f"the solution has {len(scoring.ids)} tokens, but the reward model reads {limit}")
        waiting = _Waiting(scoring=scoring, done=asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._work())
        steps = [score if math.isfinite(score) else None for score in await waiting.done]
        whole = None if None in steps else combine(steps, self._reduce)
        answer = {"score": whole, "steps": [] if self._format.head == "outcome" else steps}
        return Generation(
            text=json.dumps(answer),
            finish_reason=FinishReason.STOP,
            usage=Usage(calls=1, prompt_tokens=len(scoring.ids)),
            prompt_ids=scoring.ids,
        )

    async def aclose(self) -> None:
        """Free the model; requests that wait fail with `EngineUnavailable`."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.done.done():
                waiting.done.set_exception(EngineUnavailable(f"{self.info.name} is closed"))
        self._waiting.clear()
        await asyncio.to_thread(self._free)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailable(f"{self.info.name} is closed")

    def _lay_out(self, prompt: Prompt) -> Scoring:
        if isinstance(prompt.content, str) or len(prompt.content) < 2:
            raise InputError("a reward model is asked with a question and one message per step")
        with self._reading:
            if prompt not in self._read:
                question, *steps = (message.content for message in prompt.content)
                self._read[prompt] = self._format.lay_out(self._tokenizer, question, steps)
                if len(self._read) > _PROMPTS_KEPT:
                    self._read.popitem(last=False)
            return self._read[prompt]

    async def _work(self) -> None:
        """Score what waits, batch by batch, until nothing does."""
        while batch := self._take():
            try:
                scores = await asyncio.to_thread(self._score, [item.scoring for item in batch])
            except Exception as error:  # noqa: BLE001 - every request of the batch fails of it, and the next may not
                failure = error if isinstance(error, EngineUnavailable) else _failure(error)
                for item in batch:
                    if not item.done.done():
                        item.done.set_exception(failure)
                continue
            for item, given in zip(batch, scores, strict=True):
                if not item.done.done():
                    item.done.set_result(given)

    def _take(self) -> list[_Waiting]:
        """Take the oldest solution and those of its length; cancelled ones are dropped."""
        self._waiting = [item for item in self._waiting if not item.done.done()]
        if not self._waiting:
            return []
        length = self._length(self._waiting[0].scoring)
        batch = [item for item in self._waiting if self._length(item.scoring) == length][: self._max_batch]
        taken = set(map(id, batch))
        self._waiting = [item for item in self._waiting if id(item) not in taken]
        return batch


def _failure(error: Exception) -> EngineError:
    """Return the failure of one forward pass, which is not the end of the engine."""
    return EngineError(f"the reward model failed: {describe_failure(error, SCORING)}", retryable=True)
