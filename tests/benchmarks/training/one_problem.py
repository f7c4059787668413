"""Measurement 3: critique fine-tuning on a single problem (arXiv 2506.03295), beside SFT on its right solutions.

Several source problems of medium difficulty, so that the answer is not one draw; the same number of steps for both
arms, from the same base. The learning rate of each arm is chosen on the development split, by the mean over the
sources, since the paper chooses checkpoints by accuracy in solving. Deviations: one solver and one
critic, which at this scale is all there is; the critique is the embedded critic's word for every step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from actorcritic.cli.improve_runs import read_answers
from actorcritic.tasks.sources import draw_problems
from actorcritic.training.improve.outcomes import Outcome
from actorcritic.training.settings import TrainReport
from tests.benchmarks.training.stages import Bench, difference
from tests.benchmarks.training.tables import COLUMNS, actor_rows, signed

__all__ = ["measure"]

ARMS: Mapping[str, str] = {"cft": "cft:fix=if-given", "sft": "rft:cap=1000"}
SHOWN = ("accuracy", "pass_1", "pass_5", "majority_5")
MEDIUM = (0.15, 0.6)
"""Pass rate of the base on a source problem: medium difficulty works best in the paper."""
POOL_SAMPLES = 16


def measure(bench: Bench) -> dict[str, Any]:
    """Train and measure; prints the table and returns it."""
    options, task = bench.options, bench.options.one_task
    sources = _sources(bench)
    rows: dict[str, list[int]] = {arm: [] for arm in ARMS}
    chosen, specs = dict[str, Any](), {"base": "embedded"}
    for arm in ARMS:
        shares: dict[float, list[float]] = {rate: [] for rate in options.rates}
        for at in range(len(sources)):
            data = bench.export(f"one/{at}/{arm}/rows", _attempts(bench, at), ARMS[arm], "--wording", "embedded")
            reports = {rate: _train(bench, at, arm, rate, data) for rate in shares}
            for rate, report in reports.items():
                name = f"one/{at}/{arm}/rate-{rate:g}/dev"
                got = bench.greedy_share(name, report.spec, task=task, split="dev", limit=options.dev_limit)
                shares[rate].append(got)
            rows[arm].append(max(report.rows for report in reports.values()))
        means = {rate: fmean(found) for rate, found in shares.items()}
        best = max(means, key=means.__getitem__)
        chosen[arm] = {"rate": best, "development": {f"{rate:g}": round(mean, 4) for rate, mean in means.items()}}
        for at in range(len(sources)):
            specs[f"{arm} {at}"] = f"embedded:{bench.out}/one/{at}/{arm}/rate-{best:g}/out/model"
    base = bench.greedy_share("one/base/dev", "embedded", task=task, split="dev", limit=options.dev_limit)
    measured = {
        name: bench.outcomes(
            f"one/test-{name.replace(' ', '-')}", spec, None, task=task, split="test", limit=options.limit
        )
        for name, spec in specs.items()
    }
    found, text = actor_rows(measured, SHOWN)
    print(f"\n## {task}: one problem, {options.limit} held-out problems, {options.one_steps} steps\n\n{text}\n")
    gained = _means(measured, len(sources))
    for arm, gains in gained.items():
        print(f"{arm}, mean over sources: " + ", ".join(f"{COLUMNS[n][0]} {signed(gains[n])}" for n in SHOWN))
    print(f"sources (pass rate of the base): {sources}; rows: {rows}")
    print(f"learning rates by development accuracy, base {base:.4f}: {chosen}")
    return {
        "task": task,
        "sources": sources,
        "rows": rows,
        "chosen": chosen,
        "development_base": round(base, 4),
        "table": found,
        "means": gained,
    }


def _sources(bench: Bench) -> dict[str, float]:
    """Return the first training problems of medium difficulty, with the base's pass rate.

    One whose right solutions all pass through held-out problems cannot be trained on.
    """
    options = bench.options
    sampled = ("--samples", POOL_SAMPLES, "--strategy", "best-of-n:score=logprob", "--critic", "none")
    run = bench.collect("one/pool", "--task", options.one_task, "--limit", options.one_pool, *sampled)
    rates = {problem: fmean(one.right for one in found) for problem, found in read_answers(run).items()}
    low, high = MEDIUM
    solved = bench.export("one/pool-rows", run, "rft", "--wording", "embedded") / "train.jsonl"
    usable = {json.loads(line)["provenance"]["problem"] for line in solved.read_text(encoding="utf-8").splitlines()}
    medium = {name: round(rate, 4) for name, rate in rates.items() if name in usable and low <= rate <= high}
    if len(medium) < options.one_sources:
        raise SystemExit(f"{len(medium)} of {len(rates)} problems are of medium difficulty: raise --one-pool")
    sources = dict(list(medium.items())[: options.one_sources])
    texts = {problem.id: problem.text for problem in draw_problems(options.one_task, "train", options.one_pool)}
    for at, problem in enumerate(sources):
        path = bench.out / f"one/{at}/problem.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"id": problem, "problem": texts[problem]}) + "\n", encoding="utf-8")
    return sources


def _attempts(bench: Bench, at: int) -> Path:
    """Return a run with many attempts at one source problem and the critic's critique of each."""
    options = bench.options
    sampled = ("--samples", options.one_samples, "--strategy", "best-of-n:score=logprob", "--critic", "none")
    run = bench.collect(f"one/{at}/run", "--problems", bench.out / f"one/{at}/problem.jsonl", *sampled)
    bench.add(run, "critique", "--actor", "embedded", "--critic", "embedded")
    return run


def _train(bench: Bench, at: int, arm: str, rate: float, data: Path) -> TrainReport:
    options = bench.options
    how = ("--learning-rate", rate, "--max-steps", options.one_steps, "--batch-size", options.batch_size)
    recipe = ARMS[arm].partition(":")[0]
    return bench.train(f"one/{at}/{arm}/rate-{rate:g}/out", recipe, data, "embedded-actor", *how)


def _means(measured: Mapping[str, list[Outcome]], sources: int) -> dict[str, Any]:
    """Return how much better each arm is than the base, the mean over its sources, paired by problem."""
    means: dict[str, Any] = {}
    for arm in ARMS:
        runs = [measured[f"{arm} {at}"] for at in range(sources)]
        means[arm] = {}
        for name in SHOWN:
            _, rate, _ = COLUMNS[name]
            ours = [fmean(map(rate, each)) for each in zip(*runs, strict=True)]
            means[arm][name] = difference(ours, [rate(one) for one in measured["base"]])
    return means
