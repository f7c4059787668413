from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorcritic.training.work import MICRO_TOKENS, micro_batch


@given(st.integers(1, 300), st.integers(1, 40_000), st.none() | st.integers(1, 64))
def test_a_micro_batch_divides_the_batch_and_fits(batch: int, longest: int, asked: int | None) -> None:
    size = micro_batch(batch, longest, asked)
    assert batch % size == 0
    most = asked if asked is not None else max(1, MICRO_TOKENS // longest)
    assert size <= most
    assert not any(batch % other == 0 for other in range(size + 1, min(most, batch) + 1))


@given(st.integers(2, 64), st.integers(1, 40_000))
def test_a_method_gets_the_rows_that_it_needs_at_once(batch: int, longest: int) -> None:
    assert micro_batch(batch, longest, None, least=2) >= 2
