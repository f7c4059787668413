"""The held-out figures of the embedded pairs: each role by itself, then the loop at equal tokens on every family.

    python -m tests.benchmarks.pair [--limit 1000] [--out runs/NAME] [--resume runs/NAME] [--tasks countdown-3,sudoku]

The loop runs through `actorcritic bench` itself, with nothing simulated: three strategies that ask no critic, the
actor's own uncertainty as a guide, two that are led by the critic, and the oracle critic as the ceiling; on arithmetic
also what a verifier is worth that recomputes every step. Every family is worked on by the pair that knows it, and has a
folder under --out; a run that broke off goes on with --resume. The last line is JSON.
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
from actorcritic.loading import PACKAGED, fitting_pair
from actorcritic.tasks.sources import draw_problems

TASKS = ("countdown-3", "countdown-4", "sudoku", "arithmetic")
STRATEGIES = (
    "greedy",
    "majority",
    "best-of-n:score=logprob",
    "best-of-n:score=critic",
    "revise:locate=least-confident",
    "revise",
    "revise@oracle",
)
BY_CALCULATION = {"arithmetic": ("best-of-n:score=verifier",)}
"""Where every step is an equation, a verifier that recomputes them has its own row."""
BUDGETS = "128,256,512,1024"


def measure_roles(actor: str, limit: int) -> dict[str, Any]:
    """Return what the actor and the critic of a pair can do by themselves."""
    command = [sys.executable, "-m", "actorcritic.training.embedded.evaluate", "--problems", str(limit)]
    command += ["--pair", str(PACKAGED.get(actor) or actor.partition(":")[2])]
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
        others = BY_CALCULATION.get(task, ())
        arguments += ["--share-samples", "--strategies", ";".join((*STRATEGIES, *others))]
        arguments += ["--verifier", "calculate"] if others else []
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
    parser.add_argument(
        "--actor", default="embedded", help="the pair: embedded, the one that knows the family, or embedded:FOLDER"
    )
    parser.add_argument("--concurrency", type=int, default=64, help="problems in flight (default 64)")
    parser.add_argument("--out", type=Path, help="folder of the results (default runs/bench-pair-TIME)")
    parser.add_argument("--resume", type=Path, help="folder to go on with")
    parser.add_argument("--loop-only", action="store_true", help="leave out the figures of each role by itself")
    options = parser.parse_args(arguments)
    folder = options.resume or options.out or Path("runs") / time.strftime("bench-pair-%Y%m%d-%H%M%S")
    tasks = options.tasks.split(",")
    summary: dict[str, Any] = {"bench": "pair", "out": str(folder)}
    if not options.loop_only:
        pairs = {fitting_pair(options.actor, draw_problems(task, "test", 1)) for task in tasks}
        summary["roles"] = {pair: measure_roles(pair, options.limit) for pair in sorted(pairs)}
    summary["loop"] = {}
    for task in tasks:
        print(f"\n{task}", flush=True)
        found = measure_loop(task, folder / task, options)
        if isinstance(found, int):
            return found
        summary["loop"][task] = found
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
