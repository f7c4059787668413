"""What the benchmark of the log prints: every figure, of a log that is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.recorder import create_run
from tests.benchmarks.trajectory import TRIAL, main, make_call, sizes, speed


def test_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    create_run(tmp_path, run="r", config={}, problems=[], created="t")
    _, bare = speed(tmp_path, 50, lambda journal: journal.note(Kind.BUDGET, TRIAL, {"limit": "tokens"}))
    written = [path.stat().st_size for path in (tmp_path / "events").iterdir()]
    assert len(written) == 3 and 100 < bare == pytest.approx(max(written) / 50, abs=1)
    call = make_call(200)
    _, long = speed(tmp_path, 5, lambda journal: journal.called(TRIAL, call))
    assert long > 200 * 2 * 4, "ids and log-probabilities are in it"
    assert sizes(tmp_path, 1)[0] == sum(path.stat().st_size for path in (tmp_path / "events").iterdir())


@pytest.mark.slow
def test_the_last_line_holds_every_figure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"--events": 20, "--calls": 5, "--trajectories": 20, "--problems": 2}
    monkeypatch.setattr(sys, "argv", ["trajectory", *(str(word) for pair in few.items() for word in pair)])
    main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    sizes_there = {name: value for name, value in figures.items() if name.startswith("bytes_per_")}
    assert len(sizes_there) == 4
    assert all(value is None or value > 100 for value in sizes_there.values())
    assert figures["events_per_second"] > figures["call_events_per_second"] > 0
