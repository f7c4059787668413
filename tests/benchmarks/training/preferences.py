"""Measurement 2, the actor: DPO on Agent Q's pairs from search trees, beside SFT on the same searches' right answers.

Trees grow over steps, a node's value is what rollouts from it earned by the task's checker, mixed with the critic's
rank of siblings: an oracle run on training problems, as the paper's environment is. The reference of DPO is the logged
log-probabilities. Learning rates are chosen on the development split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actorcritic.graphs.environment_search import AGENT_Q
from tests.benchmarks.training.stages import Bench
from tests.benchmarks.training.tables import COLUMNS, actor_rows

__all__ = ["measure"]

ARMS: Mapping[str, str] = {"dpo": "agent-q", "sft": "rft"}


def measure(bench: Bench) -> dict[str, Any]:
    """Train and measure; prints the table and returns it."""
    options, task = bench.options, bench.options.dpo_task
    strategy = f"{AGENT_Q},expand={options.dpo_expand},n={options.dpo_trials}"
    searched = ("--task", task, "--limit", options.dpo_problems, "--strategy", strategy, "--verifier", "oracle")
    run = bench.collect("dpo/run", *searched)
    rows, chosen = dict[str, int](), dict[str, Any]()
    models: dict[str, str] = {"base": "embedded"}
    for arm, recipe in ARMS.items():
        data = bench.export(f"dpo/{arm}/rows", run, recipe, "--wording", "embedded", "--allow-oracle")
        shares = dict[float, float]()
        for rate in options.rates:
            report = bench.train(
                f"dpo/{arm}/rate-{rate:g}/out",
                recipe,
                data,
                "embedded-actor",
                *("--learning-rate", rate, "--max-steps", options.dpo_steps, "--batch-size", options.batch_size),
                "--allow-oracle",
            )
            name = f"dpo/{arm}/rate-{rate:g}/dev"
            shares[rate] = bench.greedy_share(name, report.spec, task=task, split="dev", limit=options.dev_limit)
            rows[arm] = report.rows
        best = max(shares, key=shares.__getitem__)
        chosen[arm] = {"rate": best, "development": {f"{rate:g}": round(got, 4) for rate, got in shares.items()}}
        models[arm] = f"embedded:{bench.out}/dpo/{arm}/rate-{best:g}/out/model"
    measured = {
        name: bench.outcomes(f"dpo/{name}/test", spec, "embedded", task=task, split="test", limit=options.limit)
        for name, spec in models.items()
    }
    found, text = actor_rows(measured, list(COLUMNS))
    print(f"\n## {task}: DPO on Agent Q's pairs, {options.limit} held-out problems\n\n{text}\n")
    print(f"rows: {rows}; learning rates by development accuracy: {chosen}")
    return {"task": task, "rows": rows, "chosen": chosen, "table": found}
