"""Prints the held-out figures of a trained pair: a table, then everything as one JSON line.

    python -m actorcritic.training.embedded.evaluate [--problems 1000] [--loop]

By default it measures the shipped pair on the test split.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from actorcritic.metrics import wilson
from actorcritic.tasks.heldout import Split
from actorcritic.training.embedded.card import model_card
from actorcritic.training.embedded.figures import Figure, actor_figures, critic_figures, held_out, tool_figures
from actorcritic.training.embedded.model import Llama
from actorcritic.training.embedded.pair import families_of, load
from actorcritic.training.embedded.revisions import revision_figures
from actorcritic.training.embedded.simulate import STRATEGIES, accuracy_at, run

__all__ = ["loop_rows", "main", "table"]

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "embedded"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    started = time.monotonic()
    actor, critic = (load(options.pair / role, options.device) for role in ("actor", "critic"))
    families, split, count, heat = families_of(options.pair), options.split, options.problems, options.temperature
    figures = actor_figures(actor, families, split, count, temperature=heat)
    figures += critic_figures(actor, critic, families, split, count, temperature=heat)
    figures += tool_figures(actor, families, split, count, temperature=heat)
    figures += revision_figures(actor, families, split, count, temperature=heat)
    result: dict[str, object] = {
        "split": options.split,
        "problems": options.problems,
        "temperature": options.temperature,
        "figures": [asdict(figure) for figure in figures],
    }
    written = table(figures, options.split, options.temperature)
    if options.loop:
        budgets = tuple(map(int, options.budgets.split(",")))
        loop = loop_rows(actor, critic, families, split, options.loop_problems, budgets)
        result["loop"] = {"budgets": budgets, "rows": loop}
        written += _loop_table(loop, budgets)
    sys.stdout.write(written)
    if options.card:
        training = options.pair / "TRAINING.md"
        notes = training.read_text() if training.exists() else "Not recorded."
        (options.pair / "MODEL_CARD.md").write_text(model_card(families, notes, written))
    result["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actorcritic.training.embedded.evaluate", description=__doc__)
    parser.add_argument("--pair", type=Path, default=SHIPPED, help="folder that holds actor/ and critic/")
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="dev is for choices (default: test)")
    parser.add_argument("--problems", type=int, default=1000, help="problems per family (default: 1000)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of samples; greedy is 0 (default: 1.0)")
    parser.add_argument("--loop", action="store_true", help="also simulate search at equal logical tokens")
    parser.add_argument("--loop-problems", type=int, default=300, help="problems per family in it (default: 300)")
    parser.add_argument("--budgets", default="128,256,512,1024", help="logical tokens per problem, critic included")
    parser.add_argument("--card", action="store_true", help="write the pair's MODEL_CARD.md too, from TRAINING.md")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    return parser


def table(figures: Sequence[Figure], split: str, temperature: float) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        f"Held-out split `{split}`; samples at temperature {temperature:g}; 95 % intervals "
        "(Wilson for shares, bootstrap over problems for the critic).",
        "",
        "| family | figure | value | 95 % interval | problems |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {f.family} | {f.name} | {f.value:.3f} | {f.low:.3f} to {f.high:.3f} | {f.count} |" for f in figures]
    return "\n".join(lines) + "\n"


def loop_rows(
    actor: Llama, critic: Llama, families: Sequence[str], split: Split, count: int, budgets: Sequence[int]
) -> list[dict[str, object]]:
    """Return one row per family and strategy: accuracy and interval at each budget, and the paired lead."""
    rows: list[dict[str, object]] = []
    for family in families:
        puzzles = held_out(family, split, count)
        right: dict[str, list[list[bool]]] = {}
        for strategy in STRATEGIES:
            histories = run(actor, critic, puzzles, strategy, limit=max(budgets))
            right[strategy] = [accuracy_at(histories, budget) for budget in budgets]
            shares = [sum(each) / count for each in right[strategy]]
            spent = sum(history[-1][0] for history in histories if history) / count
            rows.append(
                {
                    "family": family,
                    "strategy": strategy,
                    "accuracy": [round(share, 4) for share in shares],
                    "intervals": [[round(end, 4) for end in wilson(share * count, count)] for share in shares],
                    "tokens_at_last_change": round(spent, 1),
                    "problems": count,
                }
            )
            sys.stderr.write(f"{family}: {strategy} {[round(share, 3) for share in shares]}\n")
        rows += [_lead(family, right, at, budget) for at, budget in enumerate(budgets)]
    return rows


def _lead(family: str, right: dict[str, list[list[bool]]], at: int, budget: int) -> dict[str, object]:
    """Return how far critique-and-revise leads the best of the five baselines at a budget, paired over problems."""
    baselines = list(STRATEGIES)[:5]
    ours = max(list(STRATEGIES)[5:7], key=lambda name: sum(right[name][at]))
    best = max(baselines, key=lambda name: sum(right[name][at]))
    pairs = [a - b for a, b in zip(right[ours][at], right[best][at], strict=True)]
    rng = random.Random(0)
    means = sorted(sum(rng.choices(pairs, k=len(pairs))) / len(pairs) for _ in range(1000))
    return {
        "family": family,
        "budget": budget,
        "ours": ours,
        "best_baseline": best,
        "lead": round(sum(pairs) / len(pairs), 4),
        "interval": [round(means[25], 4), round(means[975], 4)],
    }


def _loop_table(rows: Sequence[dict[str, object]], budgets: Sequence[int]) -> str:
    lines = ["", f"| family | strategy | {' | '.join(map(str, budgets))} |", "|---|---|" + "---|" * len(budgets)]
    for row in rows:
        values = row.get("accuracy")
        if isinstance(values, list):
            lines.append(f"| {row['family']} | {row['strategy']} | {' | '.join(f'{v:.3f}' for v in values)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
