"""The real command, stopped by the real signals: what was paid for is kept, and the run goes on to the same end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PROBLEMS = Path(__file__).parents[2] / "actorcritic" / "problems" / "demo.jsonl"
COPIES = 2
"""How often each packaged problem stands in the file, so that there is something to interrupt."""
LONG = ("--strategy", "best-of-n", "--budget-tokens", 200)
"""Spends its whole budget on every problem: the signal comes when a few of them are done."""


def command(*arguments: object) -> list[str]:
    program = "from actorcritic.cli import main; main()"
    return [sys.executable, "-c", program, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def many_problems(folder: Path) -> Path:
    lines = [json.loads(line) for line in PROBLEMS.read_text(encoding="utf-8").splitlines()]
    path = folder / "many.jsonl"
    repeated = [{**line, "id": f"{line['id']}-{copy}"} for copy in range(COPIES) for line in lines]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in repeated), encoding="utf-8")
    return path


def kinds(run: Path) -> list[str]:
    lines = (run / "events" / "main.jsonl").read_bytes().split(b"\n")
    return [json.loads(line)["kind"] for line in lines[:-1]]


def comparable(line: str) -> dict[str, Any]:
    """Return a result without what may differ between runs: the folder, and what a cache happened to hold."""
    record: dict[str, Any] = json.loads(line)
    record.pop("run")
    for role in ("actor", "critic"):
        record["usage"][role].pop("cached_tokens")
    return record


@pytest.mark.timeout(900)  # three processes that each load a model, on whatever the machine has left
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_stopped_and_taken_up_again(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    problems, run, whole = many_problems(tmp_path), tmp_path / "run", tmp_path / "whole"
    options = ("solve", "--problems", problems, "--concurrency", 4, "--json", *LONG)
    first = subprocess.Popen(
        command(*options, "--out", run), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (run / "events" / "main.jsonl").exists() or kinds(run).count("finished") < 3:
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()[1]
        time.sleep(0.05)
    first.send_signal(stop)
    out, err = first.communicate(timeout=60)
    assert first.returncode == code and "Traceback" not in err
    paid = kinds(run)
    assert paid.count("finished") < 10 * COPIES
    if stop is signal.SIGINT:
        assert "interrupted" in paid and out.strip(), "what was finished is printed"
    resumed = subprocess.run(
        command("solve", "--resume", run, "--json"), env=environment(), capture_output=True, text=True, check=False
    )
    unbroken = subprocess.run(
        command(*options, "--out", whole), env=environment(), capture_output=True, text=True, check=False
    )
    assert resumed.returncode == unbroken.returncode == 0, resumed.stderr
    ends = [[comparable(line) for line in done.stdout.splitlines()] for done in (resumed, unbroken)]
    assert ends[0] == ends[1]
    finished = [kind for kind in kinds(run) if kind == "finished"]
    assert len(finished) == 10 * COPIES, "no finished problem was searched again"
