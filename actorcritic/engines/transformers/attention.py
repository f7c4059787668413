"""Attention over rows that share one key-value buffer, for models that let their attention be chosen by name.

A forward pass sees one flat sequence of tokens, `[1, N]`: first one token per decoding row, then the prompt tokens of
rows that are being read. Every row has its own slot in the buffer, so rows of any length run together without
padding. In the batch-invariant mode each token is its own attention problem, so that a token's result does not depend
on whether it was read as part of a prompt or decoded. Knows nothing of requests, sampling or text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import AttentionInterface

from actorcritic.engines.transformers.kv import KvBuffer

__all__ = ["ATTENTION", "RowPlan", "Segment", "attend_rows"]

ATTENTION = "actorcritic_rows"
"""The name under which models find this attention."""

_WINDOW_STEP = 16
"""Batch-invariant: windows are multiples of this, so that vectorised loops have no tail."""

_STRETCH = 64
"""Batch-invariant: prompt tokens that share a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive prompt tokens of one row."""

    slot: int
    start: int
    """Position of the first token, 0-based; the buffer already holds everything before it."""
    tokens: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class RowPlan:
    """Where the tokens of one forward pass belong. Mutable only in its memo of masks."""

    buffer: KvBuffer
    positions: Tensor
    """[N], int64: position of every token in its own row."""
    cells: Tensor
    """[N], int64: flat index `slot * columns + position` into a layer of the buffer."""
    longest: int
    """Tokens of the longest decoding row, the one being decoded included; 0 without decoding rows."""
    decoding: int
    """How many leading tokens are decoding rows, in slots 0, 1, 2 ..."""
    segments: tuple[Segment, ...]
    invariant: bool
    masks: dict[tuple[int, int | None, int], Tensor] = field(default_factory=dict[tuple[int, int | None, int], Tensor])

    def window(self, longest: int) -> int:
        """How many columns are read for a row of this many tokens."""
        return -(-longest // _WINDOW_STEP) * _WINDOW_STEP if self.invariant else longest

    def mask(self, part: int, sliding: int | None, groups: int) -> Tensor:
        """Additive mask [tokens, 1, groups, window] of the decoding rows (part -1) or of one segment."""
        key = (part, sliding, groups)
        if key not in self.masks:
            if part < 0:
                positions, longest = self.positions[: self.decoding], self.longest
            else:
                segment = self.segments[part]
                offset = self.decoding + sum(len(s.tokens) for s in self.segments[:part])
                positions = self.positions[offset : offset + len(segment.tokens)]
                longest = segment.start + len(segment.tokens)
            columns = torch.arange(self.window(longest), device=positions.device)
            hidden = columns > positions[:, None]
            if sliding is not None:
                hidden |= columns <= positions[:, None] - sliding
            mask = torch.zeros(hidden.shape, dtype=self.buffer.data.dtype, device=positions.device)
            mask.masked_fill_(hidden, float("-inf"))
            self.masks[key] = mask[:, None, None, :].expand(-1, 1, groups, -1)
        return self.masks[key]


def attend_rows(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Write the new keys and values into the buffer and attend, each token within its own row.

    Args:
        module: the attention layer; its `layer_idx` names the buffer's layer.
        query: [1, heads, N, head_size].
        key: [1, kv_heads, N, head_size], position encoding applied.
        value: [1, kv_heads, N, head_size].
        attention_mask: ignored; the plan knows who sees what.
        **kwargs: must hold `row_plan`; a model's `scaling` and `sliding_window` are followed.

    Returns:
        [1, N, heads, head_size], and no weights.

    Raises:
        NotImplementedError: the model wants a variant of attention that is not here (soft caps, sinks, biases).
    """
    for name in ("softcap", "s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise NotImplementedError(f"attention with {name}")
    plan = kwargs["row_plan"]
    layer = module.layer_idx
    scaling, sliding = kwargs.get("scaling"), kwargs.get("sliding_window")
    assert isinstance(plan, RowPlan) and isinstance(layer, int)
    assert scaling is None or isinstance(scaling, float)
    assert sliding is None or isinstance(sliding, int)
    real = len(plan.cells)
    plan.buffer.write(layer, plan.cells, key[0, :, :real].transpose(0, 1), value[0, :, :real].transpose(0, 1))
    keys, values = plan.buffer.data[layer, 0], plan.buffer.data[layer, 1]
    rows = query[0].transpose(0, 1)
    parts: list[Tensor] = []
    if plan.decoding:
        parts.append(_decode(plan, rows[: plan.decoding], keys, values, (scaling, sliding)))
    offset = plan.decoding
    for index, segment in enumerate(plan.segments):
        stop = offset + len(segment.tokens)
        parts.append(_read(plan, index, rows[offset:stop], keys, values, (scaling, sliding)))
        offset = stop
    if offset < len(rows):
        # Padding rows of the batch-invariant mode: nobody reads what becomes of them.
        parts.append(rows.new_zeros(len(rows) - offset, *rows.shape[1:]))
    return (parts[0] if len(parts) == 1 else torch.cat(parts))[None], None


_How = tuple[float | None, int | None]


def _decode(plan: RowPlan, rows: Tensor, keys: Tensor, values: Tensor, how: _How) -> Tensor:
    """Attend for one token of each of the first slots: [n, heads, head_size] in and out."""
    scaling, sliding = how
    count, window = plan.decoding, plan.window(plan.longest)
    near = keys[:count, :window].transpose(1, 2), values[:count, :window].transpose(1, 2)
    return _attend_each(rows, near, plan.mask(-1, sliding, rows.shape[1] // keys.shape[2]), scaling)


def _read(plan: RowPlan, part: int, rows: Tensor, keys: Tensor, values: Tensor, how: _How) -> Tensor:
    """Attend for the tokens of one segment: [tokens, heads, head_size] in and out."""
    scaling, sliding = how
    segment = plan.segments[part]
    count, heads, size = rows.shape
    kv_heads = keys.shape[2]
    groups = heads // kv_heads
    near_keys = keys[segment.slot : segment.slot + 1].transpose(1, 2)
    near_values = values[segment.slot : segment.slot + 1].transpose(1, 2)
    if plan.invariant:
        mask, parts = plan.mask(part, sliding, groups), list[Tensor]()
        # In stretches, since the first tokens of a long prompt need not look past themselves.
        for start in range(0, count, _STRETCH):
            stop = min(start + _STRETCH, count)
            window = plan.window(segment.start + stop)
            near = tuple(one[:, :, :window].expand(stop - start, -1, -1, -1) for one in (near_keys, near_values))
            parts.append(_attend_each(rows[start:stop], (near[0], near[1]), mask[start:stop, ..., :window], scaling))
        return parts[0] if len(parts) == 1 else torch.cat(parts)
    window = plan.window(segment.start + count)
    # Query heads that share a key head stand one after another as more queries, so that nothing is repeated.
    queries = rows.transpose(0, 1).reshape(1, kv_heads, groups * count, size)
    mask = plan.mask(part, sliding, 1)[:, 0, 0].repeat(groups, 1)
    out = torch.nn.functional.scaled_dot_product_attention(
        queries, near_keys[:, :, :window], near_values[:, :, :window], attn_mask=mask[None, None], scale=scaling
    )
    return out.reshape(heads, count, size).transpose(0, 1)


def _attend_each(rows: Tensor, near: tuple[Tensor, Tensor], mask: Tensor, scaling: float | None) -> Tensor:
    """Attend with every token as a batch entry of its own."""
    count, heads, size = rows.shape
    kv_heads = near[0].shape[1]
    out = torch.nn.functional.scaled_dot_product_attention(
        rows.reshape(count, kv_heads, heads // kv_heads, size), near[0], near[1], attn_mask=mask, scale=scaling
    )
    return out.reshape(count, heads, size)


AttentionInterface.register(ATTENTION, attend_rows)
