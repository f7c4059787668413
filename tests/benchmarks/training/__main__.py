"""What training brings on held-out problems: DPO, a critic's reinforcement, one-problem fine-tuning, SmolLM2 with LoRA.

    python -m tests.benchmarks.training --out FOLDER [--parts smollm2,one-problem,critic-rl,dpo] ...

Everything goes through the library's commands: collect, export, train, critic-eval, bench. Choices are made on the
development split, figures are of the test split. What FOLDER holds is not done again, so that the same command goes on
where it broke off. Tables as they come; the last line is JSON. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks.training import critics, one_problem, preferences, smollm2
from tests.benchmarks.training.stages import Bench

PARTS: Mapping[str, Callable[[Bench], dict[str, Any]]] = {
    "smollm2": smollm2.measure,
    "one-problem": one_problem.measure,
    "critic-rl": critics.measure,
    "dpo": preferences.measure,
}
FREE = ("out", "parts", "concurrency", "vllm_python", "smol_limit")
"""Options that may differ when a folder is gone on with."""


def _rates(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(name: str, default: Any, words: str, kind: Callable[[str], Any] = int) -> None:
        parser.add_argument(name, type=kind, default=default, help=f"{words} (default: %(default)s)")

    parser.add_argument("--out", type=Path, required=True, help="folder of everything; goes on with what it holds")
    add("--parts", ",".join(PARTS), "what to measure", str)
    add("--seed", 0, "of everything that is drawn")
    add("--limit", 1000, "held-out test problems of every figure")
    add("--dev-limit", 500, "development problems, by which learning rates are chosen")
    add("--rates", "3e-06,1e-05,3e-05,1e-04", "learning rates of the actor to choose from", _rates)
    add("--batch-size", 64, "rows per optimizer step of the embedded pair")
    add("--concurrency", 256, "problems in flight")
    add("--dpo-task", "countdown-4", "task of dpo", str)
    add("--dpo-problems", 400, "training problems that are searched")
    add("--dpo-trials", 32, "rollouts per problem")
    add("--dpo-expand", 6, "actions per state")
    add("--dpo-steps", 100, "optimizer steps")
    add("--critic-task", "countdown-4", "task of critic-rl", str)
    add("--critic-problems", 1000, "training problems, 8 attempts each")
    add("--critic-steps", 60, "optimizer steps of each stage")
    add("--critic-rates", "1e-05,3e-05", "learning rates of stage 1 to choose from", _rates)
    add("--critic-temperature", 0.7, "of the critiques that are learnt from; the recipe's is 0.7", float)
    add("--critic-group", 4, "critiques per attempt; the recipe has 4")
    add("--bench-limit", 500, "held-out problems at equal tokens")
    add("--budgets", "128,256,512", "logical tokens per problem", str)
    add("--one-task", "countdown-4", "task of one-problem", str)
    add("--one-sources", 5, "source problems")
    add("--one-pool", 60, "training problems that the sources are looked for in")
    add("--one-samples", 200, "attempts at each source problem")
    add("--one-steps", 50, "optimizer steps; the paper has about 50")
    add("--smol-problems", 150, "training problems of the embedded pair's run")
    add("--smol-rank", 8, "LoRA rank")
    add("--smol-rate", 5e-4, "learning rate", float)
    add("--smol-batch", 4, "rows per optimizer step")
    add("--smol-steps", 24, "optimizer steps of each round")
    add("--smol-limit", 24, "held-out problems of SmolLM2's figures; 0 = none")
    add("--vllm-limit", 4, "held-out problems that are solved in vLLM")
    add("--vllm-python", ".venv-vllm/bin/python", "interpreter with vLLM", str)
    return parser


def _check_folder(options: argparse.Namespace) -> None:
    """Refuse to mix measurements of different sizes in one folder."""
    sizes = {name: value for name, value in vars(options).items() if name not in FREE}
    path: Path = options.out / "sizes.json"
    options.out.mkdir(parents=True, exist_ok=True)
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != sizes:
        raise SystemExit(
            f"{options.out} was begun with other sizes (sizes.json): give the same, or choose a new folder"
        )
    path.write_text(json.dumps(sizes, indent=2), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    options.out = options.out.resolve()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    _check_folder(options)
    bench = Bench(out=options.out, options=options)
    found: dict[str, Any] = {}
    for part in parts:
        began = time.monotonic()
        found[part] = {**PARTS[part](bench), "seconds": round(time.monotonic() - began)}
        sys.stdout.flush()
    versions = {name: version(name) for name in ("torch", "transformers", "trl", "peft")}
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    print(json.dumps({"bench": "training", **found, "settings": settings, "versions": versions}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
