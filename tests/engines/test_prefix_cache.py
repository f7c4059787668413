"""The prefix cache gives back what was put in, shares what is common and keeps to its limit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from actorcritic.engines.transformers.kv import KvBuffer
from actorcritic.engines.transformers.prefix_cache import PrefixCache

IDS = st.lists(st.integers(0, 2), max_size=10).map(tuple)
TOKEN_BYTES = 2 * 8


def block_of(ids: tuple[int, ...], start: int = 0) -> Tensor:
    """A block whose numbers say which prefix each token stands for: [1, 2, n, 1, 1], float64."""
    numbers = [float(hash(ids[: i + 1]) % 100_003) for i in range(start, len(ids))]
    return torch.tensor(numbers, dtype=torch.float64)[None, None, :, None, None].expand(1, 2, -1, 1, 1).clone()


def reader(ids: tuple[int, ...]) -> Callable[[int, int], Tensor]:
    return lambda start, stop: block_of(ids[:stop], start)


def common(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


@given(kept=st.lists(IDS, max_size=12), asked=IDS)
def test_it_finds_the_longest_known_prefix(kept: list[tuple[int, ...]], asked: tuple[int, ...]) -> None:
    cache = PrefixCache(2**20)
    for ids in kept:
        cache.insert(ids, reader(ids))
    blocks = cache.match(asked)
    found = torch.cat(blocks, dim=2) if blocks else block_of(())
    assert found.shape[2] == max((common(ids, asked) for ids in kept), default=0)
    assert torch.equal(found, block_of(asked[: found.shape[2]]))


@given(kept=st.lists(IDS, max_size=30), limit=st.integers(0, 40))
def test_it_keeps_to_its_limit_and_counts_each_prefix_once(kept: list[tuple[int, ...]], limit: int) -> None:
    cache, unlimited = PrefixCache(limit * TOKEN_BYTES), PrefixCache(2**30)
    for ids in kept:
        for one in (cache, unlimited):
            one.insert(ids, reader(ids))
        assert cache.size_bytes <= cache.limit_bytes
    prefixes = {ids[:n] for ids in kept for n in range(1, len(ids) + 1)}
    assert unlimited.size_bytes == len(prefixes) * TOKEN_BYTES
    for ids in kept:
        found = cache.match(ids)
        assert all(torch.equal(torch.cat(found, 2), block_of(ids[: sum(b.shape[2] for b in found)])) for _ in found[:1])


def test_it_forgets_what_was_used_longest_ago() -> None:
    cache = PrefixCache(10 * TOKEN_BYTES)
    for first in (1, 2):
        cache.insert((first,) * 5, reader((first,) * 5))
    cache.match((1, 1))
    cache.insert((3,) * 3, reader((3,) * 3))
    assert cache.match((1, 1)) and cache.match((3,)) and not cache.match((2,))
    cache.clear()
    assert not cache.match((1, 1)) and cache.size_bytes == 0


def test_the_buffer_grows_and_moves_without_loss() -> None:
    buffer = KvBuffer(layers=2, kv_heads=1, head_size=4, dtype=torch.float32, device=torch.device("cpu"))
    buffer.reserve(3, 10)
    keys, values = torch.randn(2, 1, 4), torch.randn(2, 1, 4)
    buffer.write(1, torch.tensor([2 * buffer.columns, 2 * buffer.columns + 1]), keys, values)
    buffer.reserve(9, 200)
    assert buffer.data.shape[2] >= 9 and buffer.columns >= 200
    buffer.move(2, 7, 2)
    block = buffer.save(7, 0, 2)
    assert torch.equal(block[1, 0], keys) and torch.equal(block[1, 1], values)
    buffer.load(0, 5, block)
    assert torch.equal(buffer.save(0, 5, 7), block)
    assert not buffer.save(0, 0, 5).any()
    assert buffer.token_bytes == block[:, :, 0].nbytes


@given(
    calls=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 900), st.integers(0, 900), st.booleans()), max_size=8),
    limit=st.integers(0, 2**20),
)
def test_the_buffer_always_has_room_and_keeps_what_is_used(calls: list[tuple[int, int, int, bool]], limit: int) -> None:
    buffer = KvBuffer(
        layers=1, kv_heads=1, head_size=1, dtype=torch.float32, device=torch.device("cpu"), limit_bytes=limit
    )
    for slots, columns, used, shrink in calls:
        used = min(used, buffer.columns)
        live = min(slots - 1, buffer.data.shape[2]) if shrink else buffer.data.shape[2]
        buffer.data[:, :, :live, :used] = torch.rand(1, 2, live, used, 1, 1)
        before = buffer.data[:, :, :live, :used].clone()
        buffer.reserve(slots, columns, used=used if shrink else None)
        assert buffer.data.shape[2] >= slots and buffer.columns >= columns
        assert torch.equal(buffer.data[:, :, :live, :used], before)


def test_one_long_row_does_not_make_later_rows_long() -> None:
    buffer = KvBuffer(layers=1, kv_heads=1, head_size=1, dtype=torch.float32, device=torch.device("cpu"))
    buffer.reserve(1, 8000)
    buffer.reserve(64, 100, used=100)
    assert buffer.columns < 300
