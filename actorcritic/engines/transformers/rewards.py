"""Engines that score over the transformers library: one forward pass over a batch of solutions.

Rows are padded to whole blocks and only rows of one length share a pass, so that a score does not depend on what is
scored beside it; a classifier that cannot be padded scores one solution at a time.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from actorcritic.engines.batch_scorer import BatchScorer, ScoringOptions
from actorcritic.engines.reward_formats import RewardFormat, Scoring
from actorcritic.engines.transformers.reward_heads import Marks, RewardParts, load_reward_parts
from actorcritic.errors import EngineUnavailable
from actorcritic.protocols import Capabilities, EngineInfo

__all__ = ["TransformersScorer"]

_BLOCK = 16
"""Rows are this many tokens long, or a multiple: kernels for fewer sum in another order."""


class TransformersScorer(BatchScorer):
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
        super().__init__(parts.tokenizer, format, reduce=chosen.reduce, max_batch=chosen.max_batch)
        self._parts: RewardParts | None = parts
        self._device = next(parts.backbone.parameters()).device
        self._running = threading.Lock()
        self._block = _BLOCK
        if parts.read is None and not self._ends_are_seen(parts):
            self._block, self._max_batch = 1, 1
        self._info = EngineInfo(
            model=parts.fingerprint,
            name=name,
            max_context=parts.max_context,
            licence=chosen.licence,
            capabilities=Capabilities(token_ids=True, exact_counts=True, seeds=self._check(parts)),
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

    def _length(self, scoring: Scoring) -> int:
        return -(-len(scoring.ids) // self._block) * self._block

    def _score(self, batch: Sequence[Scoring]) -> list[list[float]]:
        with self._running, torch.inference_mode():
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

    def _free(self) -> None:
        with self._running:
            self._parts = None

    def _ends_are_seen(self, parts: RewardParts) -> bool:
        """Return whether a classifier finds the end of a padded row: it knows its padding, and does not look ahead."""
        if parts.backbone.config.pad_token_id is None:
            return False
        probe = Scoring(tuple(range(2, 11)), (8,))
        (padded,) = self._score([probe])
        self._block = 1
        (plain,) = self._score([probe])
        self._block = _BLOCK
        return math.isclose(padded[0], plain[0], abs_tol=1e-3)

    def _looks_ahead(self, parts: RewardParts) -> bool:
        """Return whether a token's hidden state depends on what stands after it."""
        ids = list(range(1, 40))
        with torch.inference_mode():
            long: Tensor = cast("Any", parts.backbone)(torch.tensor([ids], device=self._device)).last_hidden_state
            short: Tensor = cast("Any", parts.backbone)(torch.tensor([ids[:9]], device=self._device)).last_hidden_state
        return bool((short - long[:, :9]).abs().max() > 0.05 * short.abs().max())

    def _check(self, parts: RewardParts) -> bool:
        """Return whether a solution gets the same score, bit for bit, whatever is scored beside it.

        Raises:
            EngineUnavailable: a score depends on what stands after it, so that rows cannot be padded.
        """
        probe = Scoring(tuple(range(1, 10)), (3, 8))
        (alone,) = self._score([probe])
        if parts.read is not None and self._looks_ahead(parts):
            raise EngineUnavailable("this model looks ahead: it is no causal language model with a head")
        others = [Scoring(tuple((i * k) % 7 + 1 for k in range(9)), (2, 5, 8)) for i in range(1, self._max_batch)]
        return self._score([*others[:2], probe, *others[2:]])[len(others[:2])] == alone


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
