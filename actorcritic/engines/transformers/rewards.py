"""Engines that score: a local reward model of the transformers library behind the `Engine` protocol.

A request is a question and one assistant message per step; the answer is a JSON object with `score` and `steps`, and no
token is written. Rows are padded to whole blocks and only rows of one length share a forward pass, so that a score
does not depend on what is scored beside it; a classifier that cannot be padded scores one solution at a time.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from actorcritic.engines.reward_formats import RewardFormat, Scoring
from actorcritic.engines.transformers.reward_heads import Marks, RewardParts, load_reward_parts
from actorcritic.errors import EngineUnavailable, InputError, PromptTooLong
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.search.ranking import combine
from actorcritic.types import FinishReason, GenerateRequest, Generation, Prompt, ToolSpec, Usage

__all__ = ["ScoringOptions", "TransformersScorer"]

_BLOCK = 16
"""Rows are this many tokens long, or a multiple: kernels for fewer sum in another order."""


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


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A solution that is to be scored. Mutable: it gets its scores."""

    scoring: Scoring
    done: asyncio.Future[list[float]]


class TransformersScorer:
    """Scores solutions with a local reward model, many at once.

    Args:
        parts: the loaded model.
        format: how it reads a solution.
        name: how a person calls it.
        options: how it runs; `device` and `dtype` are the model's own by now.
    """

    def __init__(
        self, parts: RewardParts, format: RewardFormat, *, name: str, options: ScoringOptions | None = None
    ) -> None:
        chosen = options or ScoringOptions()
        if chosen.max_batch < 1:
            raise InputError(f"max_batch is {chosen.max_batch}: it must be at least 1")
        self._parts: RewardParts | None = parts
        self._format = format
        self._reduce = chosen.reduce or format.reduce
        self._device = next(parts.backbone.parameters()).device
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._drain: asyncio.Task[None] | None = None
        self._block = _BLOCK
        self._max_batch = chosen.max_batch
        if parts.read is None and not self._ends_are_seen():
            self._block, self._max_batch = 1, 1
        self._info = EngineInfo(
            model=parts.fingerprint,
            name=name,
            max_context=parts.max_context,
            licence=chosen.licence,
            capabilities=Capabilities(token_ids=True, exact_counts=True, seeds=self._check()),
        )

    @classmethod
    def load(
        cls, source: str, format: RewardFormat, options: ScoringOptions | None = None, *, name: str | None = None
    ) -> TransformersScorer:
        """Load a reward model from a folder, or one of the hub (offline where HF_HUB_OFFLINE is set).

        Raises:
            InputError: there is no such folder or device.
            EngineUnavailable: it cannot be loaded, or is no model of this format.
        """
        chosen = options or ScoringOptions()
        parts = load_reward_parts(source, format, device=chosen.device, dtype=chosen.dtype)
        return cls(parts, format, name=name or f"hf-prm:{source}?format={format.name}", options=chosen)

    @property
    def info(self) -> EngineInfo:
        """Who scores."""
        return self._info

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return the ids of a question and its steps exactly as the model reads them."""
        return self._lay_out(prompt).ids

    async def generate(self, request: GenerateRequest) -> Generation:
        """Score one solution; many may be in flight. What is drawn, stopped or asked for besides does not matter.

        Raises:
            InputError: the prompt is no question with steps.
            PromptTooLong: the solution exceeds the context.
            EngineUnavailable: the engine is closed, or the model is no model of its format.
        """
        scoring = self._lay_out(request.prompt)
        limit = self._info.max_context
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
        self._parts = None
        for waiting in self._waiting:
            if not waiting.done.done():
                waiting.done.set_exception(EngineUnavailable(f"{self._info.name} is closed"))
        self._waiting.clear()

    def _lay_out(self, prompt: Prompt) -> Scoring:
        if isinstance(prompt.content, str) or len(prompt.content) < 2:
            raise InputError("a reward model is asked with a question and one message per step")
        if self._parts is None:
            raise EngineUnavailable(f"{self._info.name} is closed")
        question, *steps = (message.content for message in prompt.content)
        with self._lock:
            return self._format.lay_out(self._parts.tokenizer, question, steps)

    async def _work(self) -> None:
        """Score what waits, batch by batch, until nothing does."""
        while self._waiting:
            batch = self._take()
            if not batch:
                continue
            try:
                scores = await asyncio.to_thread(self._score, [item.scoring for item in batch])
            except Exception as error:  # noqa: BLE001 - every request of the batch fails of it, and the next may not
                failure = error if isinstance(error, EngineUnavailable) else EngineUnavailable(_reason(error))
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

    def _ends_are_seen(self) -> bool:
        """Return whether a classifier finds the end of a padded row: it knows its padding, and does not look ahead."""
        assert self._parts is not None  # the engine is being made
        if self._parts.backbone.config.pad_token_id is None:
            return False
        probe = Scoring(tuple(range(2, 11)), (8,))
        (padded,) = self._score([probe])
        self._block = 1
        (plain,) = self._score([probe])
        self._block = _BLOCK
        return math.isclose(padded[0], plain[0], abs_tol=1e-3)

    def _check(self) -> bool:
        """Return whether a solution gets the same score, bit for bit, whatever is scored beside it.

        Raises:
            EngineUnavailable: a score depends on what stands after it, so that rows cannot be padded.
        """
        probe = Scoring(tuple(range(1, 10)), (3, 8))
        (alone,) = self._score([probe])
        if self._parts is not None and self._parts.read is not None:
            (before,) = self._score([Scoring((*probe.ids, *range(2, 30)), probe.marks)])
            if any(abs(a - b) > 1e-2 for a, b in zip(alone, before, strict=True)):
                raise EngineUnavailable("this model looks ahead: it is no causal language model with a head")
        others = [Scoring(tuple((i * k) % 7 + 1 for k in range(9)), (2, 5, 8)) for i in range(1, self._max_batch)]
        return self._score([*others[:2], probe, *others[2:]])[len(others[:2])] == alone

    def _length(self, scoring: Scoring) -> int:
        """Return how long a solution is with its padding."""
        return -(-len(scoring.ids) // self._block) * self._block

    def _score(self, batch: Sequence[Scoring]) -> list[list[float]]:
        """Run one forward pass.

        Raises:
            EngineUnavailable: the engine was closed meanwhile.
        """
        with self._lock, torch.inference_mode():
            parts = self._parts
            if parts is None:
                raise EngineUnavailable(f"{self._info.name} is closed")
            length = self._length(batch[0])
            # What stands after a row's end cannot be seen from it; a classifier finds the end by its padding.
            padding = parts.backbone.config.pad_token_id if parts.read is None else 0
            ids = [[*item.ids, *([padding] * (length - len(item.ids)))] for item in batch]
            out = cast("Any", parts.backbone)(torch.tensor(ids, device=self._device))
            if parts.read is None:
                return [[score] for score in _classify(out.logits)]
            hidden: Tensor = out.last_hidden_state
            return [_read(parts.read, hidden[row], item.marks) for row, item in enumerate(batch)]


def _read(head: Marks, hidden: Tensor, marks: Sequence[int]) -> list[float]:
    """Return the scores at some positions of one row [length, hidden], always a whole block of them at a time."""
    scores: list[float] = []
    for start in range(0, len(marks), _BLOCK):
        block = list(marks[start : start + _BLOCK])
        scores += head(hidden[block + block[:1] * (_BLOCK - len(block))])[: len(block)].tolist()
    return scores


def _classify(logits: Tensor) -> list[float]:
    """Return the scores of a sequence classifier with one or two classes, [rows, classes]."""
    given = logits.float()
    chosen = given.sigmoid()[:, 0] if given.shape[1] == 1 else given.softmax(-1)[:, 1]
    return cast("list[float]", chosen.tolist())


def _reason(error: Exception) -> str:
    """Return why a forward pass failed, in one line."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"the reward model failed: {line}"
