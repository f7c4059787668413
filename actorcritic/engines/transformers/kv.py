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
        limit_bytes: it grows generously up to here, and beyond only as far as it is told to.
    """

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        head_size: int,
        dtype: torch.dtype,
        device: torch.device,
        limit_bytes: int = 2**32,
    ) -> None:
        self.limit_bytes = limit_bytes
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

    def reserve(self, slots: int, columns: int, *, used: int | None = None) -> None:
        """Make room for so many slots of so many columns.

        Args:
            slots: how many slots are needed.
            columns: how many columns are needed.
            used: how many leading columns hold something, in the slots before the last one needed. What lies outside
                may be given up, so that one long row does not make every slot of later, shorter rows as long.
                None = keep everything.
        """
        layers, two, old_slots, old_columns, heads, size = self.data.shape
        if slots <= old_slots and columns <= old_columns:
            return
        kept = old_columns if used is None else min(old_columns, _round(max(used, 2 * columns)))
        least = max(kept if used is None else _round(used), _round(columns))
        new_columns = max(kept, 2 * old_columns) if columns > kept else kept
        new_columns = max(new_columns, _round(columns))
        new_slots = max(old_slots, _next_power(slots))
        if new_slots * new_columns * self.token_bytes > self.limit_bytes:
            new_slots, new_columns = (max(slots, old_slots) if used is None else slots), least
        grown = self.data.new_zeros(layers, two, new_slots, new_columns, heads, size)
        held = min(old_slots, new_slots), min(kept, new_columns)
        grown[:, :, : held[0], : held[1]] = self.data[:, :, : held[0], : held[1]]
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


def _round(columns: int) -> int:
    return -(-columns // _COLUMNS_STEP) * _COLUMNS_STEP


def _next_power(count: int) -> int:
    return 1 << (count - 1).bit_length()
