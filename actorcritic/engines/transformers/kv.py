"""The key-value buffer that all rows of a batch share: preallocated, written in place, grown by doubling.

Row r keeps its token at position p in column p of slot r, so nothing moves while a row lives. Knows nothing of
requests or of attention.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["KvBuffer"]

_COLUMNS_STEP = 64


class KvBuffer:
    """Keys and values of the running rows. Mutable; owned by one thread.

    Attributes:
        data: [layers, 2 (keys, values), slots, columns, kv_heads, head_size].
    """

    def __init__(self, *, layers: int, kv_heads: int, head_size: int, dtype: torch.dtype, device: torch.device) -> None:
        # Zeros, never uninitialised memory: a masked column still meets a weight of zero, and 0 * nan is nan.
        self.data = torch.zeros(layers, 2, 0, _COLUMNS_STEP, kv_heads, head_size, dtype=dtype, device=device)

    @property
    def columns(self) -> int:
        """How many positions a slot holds now."""
        return self.data.shape[3]

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes."""
        layers, two, _, _, heads, size = self.data.shape
        return layers * two * heads * size * self.data.element_size()

    def reserve(self, slots: int, columns: int) -> None:
        """Make room for so many slots of so many columns, keeping what is there."""
        layers, two, old_slots, old_columns, heads, size = self.data.shape
        if slots <= old_slots and columns <= old_columns:
            return
        new_slots = max(old_slots, _next_power(slots)) if slots > old_slots else old_slots
        wanted = -(-columns // _COLUMNS_STEP) * _COLUMNS_STEP
        new_columns = max(wanted, 2 * old_columns) if columns > old_columns else old_columns
        grown = self.data.new_zeros(layers, two, new_slots, new_columns, heads, size)
        grown[:, :, :old_slots, :old_columns] = self.data
        self.data = grown

    def write(self, layer: int, cells: Tensor, keys: Tensor, values: Tensor) -> None:
        """Put new keys and values, each [n, kv_heads, head_size], into flat cells `slot * columns + position`."""
        _, _, slots, columns, heads, size = self.data.shape
        flat = self.data[layer].view(2, slots * columns, heads, size)
        flat[0].index_copy_(0, cells, keys)
        flat[1].index_copy_(0, cells, values)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` columns of one slot over another."""
        self.data[:, :, target, :length] = self.data[:, :, source, :length]

    def load(self, slot: int, start: int, block: Tensor) -> None:
        """Copy a block [layers, 2, n, kv_heads, head_size] into a slot from column `start` on."""
        self.data[:, :, slot, start : start + block.shape[2]] = block

    def save(self, slot: int, start: int, stop: int) -> Tensor:
        """Return a copy of the columns from `start` up to `stop` of a slot."""
        return self.data[:, :, slot, start:stop].clone()


def _next_power(count: int) -> int:
    return 1 << (count - 1).bit_length()
