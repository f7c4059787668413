"""The real command under kill -9 at random moments; `make bench-kill` does it 50 times, and says how results differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.kill import OPTIONS, run_rounds


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", sorted(OPTIONS))
def test_nothing_is_lost_and_nothing_paid_twice(command: str, tmp_path: Path) -> None:
    options = (*OPTIONS[command], "--concurrency", 4)
    (result,) = run_rounds(command, [5], seed=11, count=12, options=options, place=tmp_path)
    assert len(result.events) == 5 and max(result.events) > 0
    assert (result.repeated, result.unfinished, result.unpaid) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_problem_at_a_time_ends_as_it_would_have(tmp_path: Path) -> None:
    # With nothing beside it in the batch, the engine's floating point is the same in every life.
    options = (*OPTIONS["collect"], "--concurrency", 1)
    (result,) = run_rounds("collect", [5], seed=12, count=6, options=options, place=tmp_path)
    assert (result.repeated, result.unfinished, result.unpaid, result.differing) == (0, 0, 0, 0)
