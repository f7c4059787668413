"""`collect --processes`: real processes on the embedded pair, one killed, all interrupted; nothing finished is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from actorcritic.cli.fleet import pass_on_once
from actorcritic.cli.tally import Collected
from actorcritic.tasks.sources import draw_problems
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.reader import read_events
from tests.cli.test_interruption import command, environment

PROBLEMS = 60
OPTIONS = ("--strategy", "best-of-n", "--samples", 8, "--width", 1, "--concurrency", 2, "--processes", 2, "--json")


def test_a_problem_is_heard_once() -> None:
    heard: list[str] = []
    hear = pass_on_once(lambda item: heard.append(item.problem))
    for name in ("a", "b", "a"):
        hear(Collected(problem=name, tokens=1, attempts=1, right=0, correct=None, failed=False))
    assert heard == ["a", "b"]


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("collect", *arguments), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(folder: Path) -> int:
    return sum(event.kind is Kind.FINISHED for event in read_events(folder))


def wait_for(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not folder.exists() or ended(folder) < count:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.1)


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that a process has begun."""
    return [int(text) for text in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_is_killed_and_all_are_interrupted(tmp_path: Path) -> None:
    problems, folder = tmp_path / "problems.jsonl", tmp_path / "run"
    drawn = draw_problems("countdown-4", "dev", PROBLEMS)
    problems.write_text("".join(f"{json.dumps({'id': p.id, 'problem': p.prompt})}\n" for p in drawn), encoding="utf-8")
    first = start("--problems", problems, "--out", folder, *OPTIONS)
    wait_for(folder, 4, first)
    os.kill(children(first)[0], signal.SIGKILL)
    wait_for(folder, 12, first)
    first.send_signal(signal.SIGINT)
    out, said = first.communicate(timeout=120)
    assert first.returncode == 130 and "Traceback" not in said, said
    assert "died of signal 9 and is begun again" in said and f"collect --resume {folder}" in said
    assert json.loads(out)["done"] < PROBLEMS
    kept = ended(folder)
    second = start("--resume", folder, "--processes", 2, "--json")
    out, said = second.communicate(timeout=300)
    assert second.returncode == 0, said
    assert json.loads(out)["done"] == ended(folder) == PROBLEMS > kept, "no problem was searched twice"
    episodes = list(read_episodes(folder))
    assert len(episodes) == PROBLEMS and all(len(episode.attempts) == 8 for episode in episodes)
    assert all(attempt.correct is not None for episode in episodes for attempt in episode.attempts if attempt.complete)
