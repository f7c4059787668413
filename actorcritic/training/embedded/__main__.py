"""Trains a packaged pair from nothing: `python -m actorcritic.training.embedded --out pair`.

`--families arithmetic` trains the pair for arithmetic; without it, it is the one for countdown and sudoku. Kill it at
any time and call it again: it goes on from the last checkpoint in `OUT/work`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "1073741824",
}
"""Keeps glibc from giving memory back between steps: 25 to 50 % more tokens per second on CPUs."""

FAMILIES = ("countdown,sudoku", "arithmetic")
"""The keys of `recipes.RECIPES`, known here without torch."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    # torch is heavy: `--help` and wrong options answer without it.
    from actorcritic.training.embedded import evaluate  # noqa: PLC0415
    from actorcritic.training.embedded.card import training_notes  # noqa: PLC0415
    from actorcritic.training.embedded.recipes import RECIPES, Runtime, scaled  # noqa: PLC0415
    from actorcritic.training.embedded.stages import train_pair  # noqa: PLC0415

    runtime = Runtime(
        device=options.device,
        precision=options.precision,
        compiled=options.compile,
        workers=options.workers,
        threads=options.threads,
    )
    recipe = scaled(RECIPES[options.families], options.scale)
    train_pair(recipe, runtime, options.out)
    (options.out / "TRAINING.md").write_text(training_notes(recipe, runtime) + "\n")
    measure = ["--pair", str(options.out), "--card", "--problems", str(options.problems), "--device", options.device]
    return evaluate.main(measure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actorcritic.training.embedded", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for actor/, critic/, the card and work/")
    parser.add_argument(
        "--families", choices=FAMILIES, default=FAMILIES[0], help=f"what it is to know (default: {FAMILIES[0]})"
    )
    parser.add_argument("--problems", type=int, default=1000, help="test problems per family for the card's figures")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full length, for trials (default: 1)")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare data (default: 1; 0 = none)")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="bfloat16",
        help="of matrix products; bfloat16 is fast on GPUs and CPUs with AMX, else take float32 (default: bfloat16)",
    )
    parser.add_argument(
        "--no-compile",
        dest="compile",
        action="store_false",
        help="do without torch.compile, which needs a C++ compiler on CPUs; about half as fast",
    )
    return parser


if __name__ == "__main__":
    if sys.platform == "linux" and not ALLOCATOR.keys() <= os.environ.keys():
        # Read by the C library at start, hence a second start.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "actorcritic.training.embedded", *sys.argv[1:]],
            {**ALLOCATOR, **os.environ},
        )
    sys.exit(main())
