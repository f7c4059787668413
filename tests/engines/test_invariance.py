"""What a request gets does not depend on its company, on when it arrives, on who leaves, or on what is cached."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.engines.transformers import TransformersEngine
from actorcritic.types import (
    GenerateRequest,
    Generation,
)
from tests.engines.tiny import ask, make_engine

BATCH = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.lists(st.integers(20, 23), min_size=1, max_size=40),
        st.integers(1, 12),
        st.integers(0, 5),
        st.booleans(),
    ),
    min_size=1,
    max_size=14,
)


Flight = tuple[int, list[int], int, int, bool]


async def fly(engine: TransformersEngine, row: Flight) -> Generation | None:
    """Make one request after a while, and perhaps cancel it; None where that was in time."""
    delay, _, _, _, cancel = row
    await asyncio.sleep(delay * 0.004)
    task = asyncio.create_task(engine.generate(request_of(row)))
    if cancel:
        await asyncio.sleep(0.003)
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


def request_of(row: Flight) -> GenerateRequest:
    _, ids, count, seed, _ = row
    return ask(tuple(ids), count, seed=seed, top_logprobs=1)


def test_company_arrival_cancelling_and_caching_change_no_bit() -> None:
    """Few token ids make many shared prefixes; every request is compared with itself alone and without a cache."""
    quiet = make_engine(prefix_cache_bytes=0)
    assert quiet.info.capabilities.seeds

    async def check(batch: list[Flight], max_batch: int, cache: int) -> None:
        busy = make_engine(max_batch=max_batch, prefix_cache_bytes=cache)
        for row, found in zip(batch, await asyncio.gather(*(fly(busy, row) for row in batch)), strict=True):
            if found is not None:
                assert found.tokens == (await quiet.generate(request_of(row))).tokens
        async with asyncio.timeout(10):
            while busy.running:
                await asyncio.sleep(0.001)
        await busy.aclose()

    with asyncio.Runner() as runner:

        @settings(max_examples=15)
        @given(batch=BATCH, max_batch=st.integers(1, 16), cache=st.sampled_from([0, 30_000, 2**24]))
        def changes_nothing(batch: list[Flight], max_batch: int, cache: int) -> None:
            runner.run(check(batch, max_batch, cache))

        changes_nothing()
        runner.run(quiet.aclose())
