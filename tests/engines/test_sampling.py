"""Tokens are drawn from the right distribution, with numbers that belong to the request alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.engines.transformers.sampling import SamplingRows, draw_tokens, seed_key, uniforms
from actorcritic.types import Sampling

CPU = torch.device("cpu")
SEEDS = st.integers(0, 2**63 - 1)


def test_the_numbers_are_splitmix64() -> None:
    """The generator's published first outputs from state 0."""
    words = (uniforms(np.zeros(3, np.uint64), np.arange(3, dtype=np.uint64)) * 2.0**52).astype(np.uint64)
    assert [int(w) for w in words] == [0xE220A8397B1DC, 0x6E789E6AA1B96, 0x06C45D1880094]


@given(seeds=st.lists(SEEDS, min_size=1, max_size=8), count=st.integers(0, 10_000))
def test_a_number_depends_on_seed_and_count_alone(seeds: list[int], count: int) -> None:
    keys = np.array([seed_key(seed) for seed in seeds], dtype=np.uint64)
    together = uniforms(keys, np.full(len(seeds), count, dtype=np.uint64))
    alone = [uniforms(keys[i : i + 1], np.array([count], dtype=np.uint64))[0] for i in range(len(seeds))]
    assert together.tolist() == alone
    assert all(0 <= number < 1 for number in alone)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (Sampling(top_p=0.6), [4 / 7, 3 / 7, 0, 0]),
        (Sampling(top_p=0.71), [4 / 9, 3 / 9, 2 / 9, 0]),
        (Sampling(top_p=0.05), [1, 0, 0, 0]),
        (Sampling(temperature=0), [1, 0, 0, 0]),
    ],
)
def test_frequencies(sampling: Sampling, expected: list[float]) -> None:
    count = 4000
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log().expand(count, -1) + 5
    # Half of the rows draw otherwise: neighbours with other settings must not matter.
    rows = SamplingRows.of([sampling, Sampling()] * (count // 2), [seed_key(i) for i in range(count)], 0, CPU)
    tokens = draw_tokens(logits, rows, [7] * count).tokens[::2]
    found = np.bincount(tokens, minlength=4) / len(tokens)
    assert np.allclose(found, expected, atol=0.03)
    assert all(share == 0 for share, wanted in zip(found, expected, strict=True) if wanted == 0)


@given(seeds=st.lists(SEEDS, min_size=1, max_size=6), count=st.integers(0, 100), data=st.data())
def test_a_draw_does_not_depend_on_its_neighbours(seeds: list[int], count: int, data: st.DataObject) -> None:
    samplings = [
        Sampling(temperature=data.draw(st.sampled_from([0.0, 0.7, 1.0])), top_p=data.draw(st.sampled_from([0.9, 1.0])))
        for _ in seeds
    ]
    logits = torch.randn(len(seeds), 50, generator=torch.Generator().manual_seed(count))
    keys = [seed_key(seed) for seed in seeds]
    together = draw_tokens(logits, SamplingRows.of(samplings, keys, 3, CPU), [count] * len(seeds))
    for i in range(len(seeds)):
        rows = SamplingRows.of([samplings[i]], [keys[i]], 3, CPU)
        alone = draw_tokens(logits[i : i + 1], rows, [count])
        assert together.tokens[i] == alone.tokens[0]
        assert together.logprobs[i] == alone.logprobs[0]
        assert together.top_ids is not None and alone.top_ids is not None
        assert together.top_ids[i] == alone.top_ids[0]


def test_an_impossible_token_is_never_drawn() -> None:
    logits = torch.full((1000, 5), float("-inf"))
    logits[:, 2] = 0.0
    rows = SamplingRows.of([Sampling()] * 1000, [seed_key(i) for i in range(1000)], 0, CPU)
    assert set(draw_tokens(logits, rows, [0] * 1000).tokens) == {2}
