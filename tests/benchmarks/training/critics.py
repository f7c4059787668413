"""Measurement 2, the critic: Critique-RL in two stages; does its F1 rise, and does the closed loop rise with it.

Stage 1 rewards the verdict, stage 2 what the frozen actor makes of the critique. Held-out: `critic-eval` on the same
attempts for every critic, and `bench` at equal total tokens. The learning rate is chosen by F1 on the development
split.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from actorcritic.critic_report import compare_critics
from actorcritic.training.settings import TrainReport
from tests.benchmarks.accuracy import Cells, cells_of, compare, read_rows
from tests.benchmarks.training.stages import Bench, Judged
from tests.benchmarks.training.tables import percent, signed, table

__all__ = ["measure"]

STRATEGIES = ("revise", "best-of-n")
FIGURES: Mapping[str, str] = {
    "f1": "F1",
    "acc_err": "error named",
    "acc_cor": "right called right",
    "auroc": "AUROC",
    "discriminability": "verdict agrees",
    "after": "after one revision",
}
RECIPE = "critique-rl"


def measure(bench: Bench) -> dict[str, Any]:
    """Train and measure; prints the tables and returns them."""
    options, task = bench.options, bench.options.critic_task
    judge = {"task": task, "actor": "embedded"}
    base = bench.judge_critic("critic-rl/base/dev", "embedded", split="dev", limit=options.dev_limit, **judge)
    sampled = ("--task", task, "--limit", options.critic_problems, "--samples", 8, "--critic", "none")
    run = bench.collect("critic-rl/run", *sampled, "--strategy", "best-of-n:score=logprob")
    words = ("--wording", "embedded")
    first = bench.export("critic-rl/rows-1", run, f"{RECIPE}:stage=1", *words)
    second = bench.export("critic-rl/rows-2", run, f"{RECIPE}:stage=2", *words)
    reports, scores = dict[str, TrainReport](), dict[float, float]()
    for rate in options.critic_rates:
        report = bench.train(f"critic-rl/stage-1-{rate:g}/out", RECIPE, first, "embedded-critic", *_how(bench, rate))
        judged = bench.judge_critic(
            f"critic-rl/stage-1-{rate:g}/dev", report.spec, split="dev", limit=options.dev_limit, **judge
        )
        scores[rate] = judged.report.f1.value or 0.0
        reports[f"stage 1, {rate:g}"] = report
    best = max(scores, key=scores.__getitem__)
    stage_1 = reports[f"stage 1, {best:g}"]
    stage_2 = bench.train("critic-rl/stage-2/out", RECIPE, second, stage_1.model, *_how(bench, best))
    reports[f"stage 2, {best:g}"] = stage_2
    critics = {"base": "embedded", "stage 1": stage_1.spec, "stage 2": stage_2.spec}
    measured = {
        name: bench.judge_critic(
            f"critic-rl/test-{name.replace(' ', '-')}", spec, split="test", limit=options.limit, **judge
        )
        for name, spec in critics.items()
    }
    print(f"\n## {task}: Critique-RL, {options.limit} held-out problems\n")
    open_loop = _open_loop(measured)
    closed_loop = _closed_loop(bench, critics)
    development = {"base": base.report.f1.value, **{f"{rate:g}": score for rate, score in scores.items()}}
    rewards = {name: (report.steps, report.first_reward, report.last_reward) for name, report in reports.items()}
    print(f"\nF1 on the development split by learning rate of stage 1: {development}")
    print(f"steps, first and last reward: {rewards}")
    return {
        "task": task,
        "rows": {"stage 1": stage_1.rows, "stage 2": stage_2.rows},
        "development_f1": development,
        "rewards": rewards,
        "open_loop": open_loop,
        "closed_loop": closed_loop,
    }


def _how(bench: Bench, rate: float) -> tuple[object, ...]:
    options = bench.options
    explored = (
        "--option",
        f"temperature={options.critic_temperature}",
        "--option",
        f"generations={options.critic_group}",
    )
    steps = ("--max-steps", options.critic_steps, "--batch-size", options.batch_size)
    return ("--learning-rate", rate, *steps, *explored)


def _open_loop(measured: Mapping[str, Judged]) -> list[dict[str, Any]]:
    """Print what each critic finds, and how much more than the base."""
    rows: list[dict[str, Any]] = []
    for name, judged in measured.items():
        row: dict[str, Any] = {"critic": name, **judged.report.model_dump(mode="json", include=set(FIGURES))}
        if name != "base":
            versus = compare_critics(measured["base"].rows, judged.rows)
            row["f1_gain"], row["after_gain"] = asdict(versus.f1), asdict(versus.after)
        rows.append(row)
    shown = [[name["critic"], *(percent(name[figure]) for figure in FIGURES)] for name in rows]
    print(table(["critic", *FIGURES.values()], shown))
    for row in rows[1:]:
        print(f"{row['critic']} - base: F1 {signed(row['f1_gain'])}, after one revision {signed(row['after_gain'])}")
    return rows


def _closed_loop(bench: Bench, critics: Mapping[str, str]) -> list[dict[str, Any]]:
    """Print accuracy at equal total tokens with each critic, and how much more than with the base."""
    options = bench.options
    cells: dict[str, Cells] = {}
    for name, spec in critics.items():
        place = f"critic-rl/bench-{name.replace(' ', '-')}"
        folder = bench.out / place
        bench.once(place, partial(_bench, bench, spec, folder))
        cells[name] = cells_of(read_rows(folder / "rows.jsonl"))
    budgets = [int(budget) for budget in options.budgets.split(",")]
    found: list[dict[str, Any]] = []
    for strategy in STRATEGIES:
        for name in critics:
            for budget in budgets:
                key = (strategy, budget)
                row: dict[str, Any] = {"strategy": strategy, "critic": name, "budget": budget}
                both = {("base", budget): cells["base"][key], ("ours", budget): cells[name][key]}
                versus = compare(both, ("ours", budget), ("base", budget))
                assert versus is not None  # both cells are there
                low, high = versus["interval"]
                row["accuracy"] = versus["accuracies"][0]
                row["gain"] = {"value": versus["difference"], "low": low, "high": high}
                found.append(row)
    print("\n" + table(["strategy, critic", *map(str, budgets)], [*_lines(found, list(critics), len(budgets))]))
    return found


def _lines(found: list[dict[str, Any]], critics: list[str], budgets: int) -> list[list[str]]:
    lines: list[list[str]] = []
    for start in range(0, len(found), budgets):
        rows = found[start : start + budgets]
        shown = [
            f"{100 * row['accuracy']:.1f}" + ("" if row["critic"] == critics[0] else f", {signed(row['gain'])}")
            for row in rows
        ]
        lines.append([f"`{rows[0]['strategy']}`, {rows[0]['critic']}", *shown])
    return lines


def _bench(bench: Bench, critic: str, folder: Path) -> None:
    options = bench.options
    if (folder / "run.json").exists():
        bench.command("bench", "--resume", folder)
        return
    asked = ("--task", options.critic_task, "--limit", options.bench_limit, "--budgets", options.budgets)
    roles = ("--actor", "embedded", "--critic", critic, "--strategies", ";".join(STRATEGIES))
    common = ("--seeds", options.seed, "--concurrency", options.concurrency, "--share-samples", "--out", folder)
    bench.command("bench", *asked, *roles, *common)
    report = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    assert report["complete"], f"{folder} is not complete: run the same command again"
