"""The held-out figures of the embedded pair: each role by itself, then the loop at equal tokens on every family.

    python -m tests.benchmarks.pair [--limit 1000] [--out runs/NAME] [--resume runs/NAME] [--tasks countdown-3,sudoku]

The loop runs through `actorcritic bench` itself, with nothing simulated: three strategies that ask no critic, the
actor's own uncertainty as a guide, two that are led by the critic, and the oracle critic as the ceiling. Every family
has a folder under --out; a run that broke off goes on with --resume. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actorcritic.cli.app import run

TASKS = ("countdown-3", "countdown-4", "sudoku")
STRATEGIES = (
    "greedy",
    "majority",
    "best-of-n:score=logprob",
    "best-of-n:score=critic",
    "revise:locate=least-confident",
    "revise",
    "revise@oracle",
)
BUDGETS = "128,256,512,1024"


def measure_roles(actor: str, limit: int) -> dict[str, Any]:
    """Return what the actor and the critic can do by themselves."""
    command = [sys.executable, "-m", "actorcritic.training.embedded.evaluate", "--problems", str(limit)]
    _, _, pair = actor.partition(":")
    command += ["--pair", pair] if pair else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout.rsplit("\n", 2)[0], flush=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_loop(task: str, folder: Path, options: argparse.Namespace) -> dict[str, Any] | int:
    """Return the report of a family's loop; the exit code where it did not come to an end."""
    if (folder / "run.json").exists():
        arguments = ["--resume", str(folder)]
    else:
        arguments = ["--task", task, "--budgets", BUDGETS, "--limit", str(options.limit), "--out", str(folder)]
        arguments += ["--actor", options.actor, "--seeds", options.seeds, "--concurrency", str(options.concurrency)]
        arguments += ["--share-samples", "--strategies", ";".join(STRATEGIES)]
    code = run(["bench", *arguments])
    if code > 1:
        return code
    found: dict[str, Any] = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=1000, help="problems per family (default 1000)")
    parser.add_argument("--tasks", default=",".join(TASKS), help=f"families (default {','.join(TASKS)})")
    parser.add_argument("--seeds", default="0", help="seeds of the loop (default 0)")
    parser.add_argument("--actor", default="embedded", help="the pair: embedded or embedded:FOLDER (default embedded)")
    parser.add_argument("--concurrency", type=int, default=64, help="problems in flight (default 64)")
    parser.add_argument("--out", type=Path, help="folder of the results (default runs/bench-pair-TIME)")
    parser.add_argument("--resume", type=Path, help="folder to go on with")
    parser.add_argument("--loop-only", action="store_true", help="leave out the figures of each role by itself")
    options = parser.parse_args(arguments)
    folder = options.resume or options.out or Path("runs") / time.strftime("bench-pair-%Y%m%d-%H%M%S")
    summary: dict[str, Any] = {"bench": "pair", "out": str(folder)}
    if not options.loop_only:
        summary["roles"] = measure_roles(options.actor, options.limit)
    summary["loop"] = {}
    for task in options.tasks.split(","):
        print(f"\n{task}", flush=True)
        found = measure_loop(task, folder / task, options)
        if isinstance(found, int):
            return found
        summary["loop"][task] = found
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
