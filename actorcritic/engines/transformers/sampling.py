"""Drawing tokens for a whole batch at once, with randomness that belongs to each request alone.

Noise is counter-based: the n-th token of a request is drawn with a number computed from (seed, n), whatever runs
beside it and whenever it arrived. One number per token picks from the cumulative distribution in vocabulary order,
so a rounding difference changes a token only where it moves a boundary across that number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actorcritic.types import Sampling

__all__ = ["Draw", "SamplingRows", "draw_tokens", "seed_key", "uniforms"]

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_Words = NDArray[np.uint64]


def seed_key(seed: int) -> int:
    """Return the 64-bit state that a request's numbers start from; neighbouring seeds land far apart."""
    z = (seed + _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * _MIX[0]) & _MASK
    z = ((z ^ (z >> 27)) * _MIX[1]) & _MASK
    return z ^ (z >> 31)


def uniforms(keys: _Words, counts: _Words) -> NDArray[np.float64]:
    """Return one number in [0, 1) per row: output `counts[i]` of SplitMix64 (Steele et al., 2014) from `keys[i]`."""
    z = keys + (counts + np.uint64(1)) * np.uint64(_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX[0])
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX[1])
    z ^= z >> np.uint64(31)
    numbers: NDArray[np.float64] = (z >> np.uint64(12)).astype(np.float64) * 2.0**-52
    return numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRows:
    """How each row of a batch draws; made once per change of the batch, not per token."""

    keys: _Words
    """[rows]"""
    temperature: Tensor | None
    """[rows, 1], greedy rows hold 1; None = every row has temperature 1."""
    top_p: Tensor | None
    """[rows, 1]; None = no row cuts."""
    greedy: Tensor | None
    """[rows], bool; None = no row is greedy."""
    all_greedy: bool
    top_logprobs: int
    """The most alternatives that any row reports."""

    @classmethod
    def of(cls, samplings: list[Sampling], keys: list[int], top_logprobs: int, device: torch.device) -> SamplingRows:
        """Stack the rows' settings."""
        temperatures = [s.temperature or 1.0 for s in samplings]
        cuts = [s.top_p for s in samplings]
        greedy = [s.temperature == 0 for s in samplings]

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)[:, None]

        return cls(
            keys=np.array(keys, dtype=np.uint64),
            temperature=column(temperatures) if any(t != 1.0 for t in temperatures) else None,
            top_p=column(cuts) if any(p < 1.0 for p in cuts) else None,
            greedy=torch.tensor(greedy, device=device) if any(greedy) else None,
            all_greedy=all(greedy),
            top_logprobs=top_logprobs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One token per row."""

    tokens: list[int]
    logprobs: list[float]
    """Under the model's own distribution, before temperature and top_p."""
    top_ids: list[list[int]] | None
    top_logprobs: list[list[float]] | None


def draw_tokens(logits: Tensor, rows: SamplingRows, counts: list[int]) -> Draw:
    """Draw one token per row.

    Args:
        logits: [rows, vocabulary], float32.
        rows: how each row draws.
        counts: [rows], how many tokens each request has drawn before.
    """
    raw = torch.log_softmax(logits, dim=-1)
    if rows.all_greedy:
        tokens = logits.argmax(dim=-1)
    else:
        tokens = _sample(raw, rows, counts)
        if rows.greedy is not None:
            tokens = torch.where(rows.greedy, logits.argmax(dim=-1), tokens)
    chosen = raw.gather(1, tokens[:, None])[:, 0]
    top_ids, top_logprobs = None, None
    if rows.top_logprobs:
        top = torch.topk(raw, min(rows.top_logprobs, raw.shape[-1]), dim=-1)
        top_ids, top_logprobs = _lists(top.indices), _lists(top.values)
    return Draw(tokens=_lists(tokens), logprobs=_lists(chosen), top_ids=top_ids, top_logprobs=top_logprobs)


def _sample(raw: Tensor, rows: SamplingRows, counts: list[int]) -> Tensor:
    probs = (raw if rows.temperature is None else torch.log_softmax(raw / rows.temperature, dim=-1)).exp()
    if rows.top_p is not None:
        probs = _cut(probs, rows.top_p)
    cumulative = probs.cumsum(dim=-1, dtype=torch.float64)
    numbers = torch.from_numpy(uniforms(rows.keys, np.array(counts, dtype=np.uint64))).to(cumulative.device)[:, None]
    picked = torch.searchsorted(cumulative, numbers * cumulative[:, -1:], right=True)[:, 0]
    return picked.clamp_(max=probs.shape[-1] - 1)


def _cut(probs: Tensor, top_p: Tensor) -> Tensor:
    """Zero all but the smallest set of likeliest tokens whose probability reaches top_p."""
    ordered, order = probs.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    dropped = torch.zeros_like(probs, dtype=torch.bool).scatter_(1, order, (before >= top_p) & (top_p < 1))
    return probs.masked_fill(dropped, 0.0)


def _lists(values: Tensor) -> Any:
    """A tensor as nested lists; torch cannot say how deep."""
    return values.tolist()
