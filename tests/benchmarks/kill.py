"""What kill -9 costs: the real command killed at random moments, taken up again, and compared with an unbroken run.

    python -m tests.benchmarks.kill [--moments 50] [--per-run 10] [--command collect|solve|bench] [--problems 24]

Each run is killed at random points of its log, again and again, and taken up each time; checked is that no call that
had finished was made again, that every problem ended, and that its spend is the sum of its calls. How often a result
differs is counted, not failed: on a batched engine the shape of a batch changes floating point, and with it now and
then a drawn token. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from actorcritic.tasks.sources import draw_problems
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.reader import read_events

PROGRAM = "from actorcritic.cli import main; main()"
PATIENCE = 300.0
"""Seconds that one life of the command may take."""


OPTIONS = {
    "collect": ("--strategy", "revise", "--budget-tokens", 200),
    "solve": ("--strategy", "revise", "--budget-tokens", 200),
    "bench": ("--strategies", "majority;revise", "--budgets", "100,200"),
}
"""Of the commands that are killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What the kills of one run came to."""

    events: tuple[int, ...]
    """In the log each time the command was dead."""
    repeated: int
    """Calls that had finished and were made again."""
    unfinished: int
    """Problems without an end."""
    unpaid: int
    """Problems whose spend is not the sum of their calls."""
    differing: int
    """Problems with another answer, another number of attempts or another spend than in the unbroken run."""


def write_problems(path: Path, count: int) -> None:
    """Write so many problems for the embedded pair."""
    problems = draw_problems("countdown", "dev", count, seed=3)
    path.write_text("".join(f"{json.dumps({'id': p.id, 'problem': p.prompt})}\n" for p in problems), encoding="utf-8")


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start the real command in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for the command to end well."""
    _, said = process.communicate(timeout=PATIENCE)
    if process.returncode != 0:
        raise AssertionError(f"the command ended with {process.returncode}: {said.decode()}")


def run_whole(command: str, problems: Path, folder: Path, options: Sequence[object]) -> int:
    """Run the command unbroken; returns the size of its log in bytes."""
    finish(start(command, "--problems", problems, "--out", folder, *options))
    return log_size(folder)


def runs_of(folder: Path) -> list[Path]:
    """Return the run folders that a command fills: one, or those of a comparison's searches."""
    return sorted((folder / "searches").glob("*/")) or [folder]


def log_size(folder: Path) -> int:
    """Return how many bytes the log of a command has by now."""
    return sum(log.stat().st_size for run in runs_of(folder) for log in (run / "events").glob("main.jsonl"))


def kill_at(process: subprocess.Popen[bytes], folder: Path, size: int) -> None:
    """Kill the command as soon as its log has so many bytes, or is seen to have ended."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and log_size(folder) < size:
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError("the command does not get there")
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def answered(folder: Path) -> Counter[tuple[str | None, int | None, str, int]]:
    """Return how often each request of a run was answered, by problem, trial, role and the request's own seed."""
    found: Counter[tuple[str | None, int | None, str, int]] = Counter()
    for event in read_events(folder):
        request, role = event.payload.get("request"), event.payload.get("role")
        if event.kind is Kind.CALLED and event.payload.get("generation") is not None and isinstance(request, dict):
            seed = request["seed"]
            assert isinstance(seed, int)
            found[event.problem, event.trial, str(role), seed] += 1
    return found


def gist(episode: Episode) -> object:
    """Return what a resumed problem should have in common with an unbroken one."""
    return episode.best, episode.answer, episode.stopped_by, len(episode.attempts), episode.spend.total.logical_tokens


def is_paid(episode: Episode) -> bool:
    """Return whether a problem's spend is the sum of what its calls were charged."""
    calls = [call for attempt in episode.attempts for call in attempt.calls]
    return episode.spend.total.completion_tokens == sum(call.charge.usage.completion_tokens for call in calls)


def break_run(
    command: str, problems: Path, whole: Path, folder: Path, sizes: Sequence[int], options: Sequence[object]
) -> Round:
    """Kill the command each time its log has grown to the next of these sizes in bytes; let it end, and compare."""

    def begin() -> subprocess.Popen[bytes]:
        if (folder / "run.json").exists():
            return start(command, "--resume", folder)
        return start(command, "--problems", problems, "--out", folder, *options)

    events: list[int] = []
    for size in sorted(sizes):
        kill_at(begin(), folder, size)
        events.append(sum(1 for run in runs_of(folder) for _ in read_events(run)))
    finish(begin())
    expected, found = episodes_of(whole), episodes_of(folder)
    return Round(
        events=tuple(events),
        repeated=sum(count - 1 for run in runs_of(folder) for count in answered(run).values()),
        unfinished=len(expected) - sum(episode.finished for episode in found.values()),
        unpaid=sum(not is_paid(episode) for episode in found.values()),
        differing=sum(gist(episode) != gist(expected[name]) for name, episode in found.items()),
    )


def episodes_of(folder: Path) -> dict[tuple[str, str], Episode]:
    """Return every problem of every run in a command's folder, by the run's name and the problem's id."""
    runs = runs_of(folder)
    names = [run.name if len(runs) > 1 else "" for run in runs]
    return {(name, e.problem.id): e for name, run in zip(names, runs, strict=True) for e in read_episodes(run)}


def run_rounds(
    command: str,
    moments: Sequence[int],
    *,
    seed: int,
    count: int,
    options: Sequence[object],
    place: Path,
) -> list[Round]:
    """Kill one run after the other at so many random moments of its log each."""
    draw = random.Random(seed)
    problems, whole = place / "problems.jsonl", place / "whole"
    write_problems(problems, count)
    size = run_whole(command, problems, whole, options)
    return [
        break_run(
            command,
            problems,
            whole,
            place / f"run-{number}",
            [draw.randrange(1, size) for _ in range(kills)],
            options,
        )
        for number, kills in enumerate(moments)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--command", choices=tuple(OPTIONS), default="collect")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-run", type=int, default=10)
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--concurrency", type=int, default=8)
    given = parser.parse_args()
    options = (*OPTIONS[given.command], "--concurrency", given.concurrency)
    moments = [min(given.per_run, given.moments - done) for done in range(0, given.moments, given.per_run)]
    with TemporaryDirectory() as place:
        rounds = run_rounds(
            given.command, moments, seed=given.seed, count=given.problems, options=options, place=Path(place)
        )
    print(
        json.dumps(
            {
                "moments": sum(len(item.events) for item in rounds),
                "runs": len(rounds),
                "command": given.command,
                "problems": given.problems * len(rounds),
                "events_before_kill": [item.events for item in rounds],
                "repeated_calls": sum(item.repeated for item in rounds),
                "unfinished_problems": sum(item.unfinished for item in rounds),
                "unpaid_problems": sum(item.unpaid for item in rounds),
                "differing_problems": sum(item.differing for item in rounds),
                "differing_runs": sum(item.differing > 0 for item in rounds),
            }
        )
    )


if __name__ == "__main__":
    main()
