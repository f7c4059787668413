"""What share of the optimum searches reach in an environment whose optimum is known: the web shop.

    python -m tests.benchmarks.environment [--shops 40] [--steps 16,64,160] [--tokens 4000] [--error 0.25] ...

A shopper of known skill plays (see `shop_players`: it misjudges every action by a fixed normal error); a judge sees the
true value of a state with normal noise. The share is the return of the answer over the optimum of its shop, which
dynamic programming gives; 0 where there is none. Every strategy plays the same shops under the same budget, once of
environment steps, once of tokens with the judge's on the bill. Rows marked `oracle` go by the environment's own reward,
as Agent Q and LATS do; the others by the judge alone. Intervals are 95%, bootstrapped over shops; differences are
paired by shop. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from actorcritic.budget import Budget
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.shop_players import shop_critic, shop_shopper
from actorcritic.environments.shop_values import values_of
from actorcritic.environments.web_shop import INFO, open_shop, shop_problem
from actorcritic.graphs.environment_search import AGENT_Q, LATS, ROLLOUTS, environment_settings
from actorcritic.graphs.session import ProblemResult, SilentJournal
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.metrics import bootstrap
from actorcritic.tasks.environment import episode_return

ARMS: Mapping[str, str] = {
    "greedy": "greedy",
    "best-of-n, judge": "best-of-n:score=critic",
    "mcts, judge": "mcts:nodes=step,leaf=rollout,selection=agent-q,score=critic",
    "best-of-n": "best-of-n:score=verifier",
    "mcts": ROLLOUTS,
    "mcts with critic": AGENT_Q,
    "lats": LATS,
}
"""Strategies by the name of their row; those by mcts also get `--expand`."""
PAIRS = (
    ("best-of-n", "greedy"),
    ("mcts", "best-of-n"),
    ("mcts with critic", "mcts"),
    ("mcts with critic", "best-of-n"),
)
FIRST_SHOP = 1000
"""The tests use the shops below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What one strategy made of one shop."""

    share: float
    """Of the optimum, in [0, 1]."""
    steps: int
    tokens: int
    critic_tokens: int
    failures: int
    episodes: int


async def play(shop: int, strategy: str, budget: Budget, args: argparse.Namespace) -> Played:
    """Search one shop."""
    settings = environment_settings(strategy, INFO, budget=budget, seed=args.seed)
    actor = EnvironmentActor(shop_shopper(error=args.error, spread=args.spread), open_shop, INFO)
    session = new_session(await shop_problem(shop), settings, SilentJournal())
    result = await search_problem(session, actor, shop_critic(error=args.noise), settings)
    usage = result.spend.usage
    return Played(
        share=share_of(result, shop),
        steps=result.spend.steps.taken if result.spend.steps is not None else 0,
        tokens=result.spend.total.logical_tokens,
        critic_tokens=usage["critic"].logical_tokens if "critic" in usage else 0,
        # A trial that judges an episode takes it over as it is: one solution, one episode.
        failures=len(result.failures),
        episodes=len({id(item.solution) for item in session.attempts.values() if item.solution.complete}),
    )


def arms_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the strategies that are asked for, by the name of their row."""
    chosen = [arm.strip() for arm in args.arms.split(";")] if args.arms else list(ARMS)
    return {arm: f"{ARMS[arm]},expand={args.expand}" if "mcts:" in ARMS[arm] else ARMS[arm] for arm in chosen}


def share_of(result: ProblemResult, shop: int) -> float:
    """Return the share of the optimum that the answer reached."""
    if result.attempt is None or not result.attempt.solution.complete:
        return 0.0
    return (episode_return(result.attempt.solution) or 0.0) / values_of(shop).optimum


def summary_of(arm: str, unit: str, budget: int, played: Sequence[Played], oracle: bool) -> dict[str, Any]:
    """Return a row of the table."""
    shares = [one.share for one in played]
    low, high = bootstrap(len(shares), partial(_mean_of, shares))
    return {
        "arm": arm,
        "oracle": oracle,
        "budget": unit,
        "limit": budget,
        "share": round(fmean(shares), 4),
        "ci_low": round(low, 4),
        "ci_high": round(high, 4),
        "optimal": round(fmean(share > 1 - 1e-9 for share in shares), 4),
        "mean_steps": round(fmean(one.steps for one in played), 1),
        "mean_tokens": round(fmean(one.tokens for one in played)),
        "mean_critic_tokens": round(fmean(one.critic_tokens for one in played)),
        "failures": sum(one.failures for one in played),
        "mean_episodes": round(fmean(one.episodes for one in played), 1),
    }


async def measure(unit: str, limit: int, args: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows and the paired differences under one budget."""
    budget = Budget(steps=limit) if unit == "steps" else Budget(tokens=limit)
    shops = range(FIRST_SHOP, FIRST_SHOP + args.shops)
    found: dict[str, list[Played]] = {}
    rows: list[dict[str, Any]] = []
    for arm, strategy in arms_of(args).items():
        found[arm] = [await play(shop, strategy, budget, args) for shop in shops]
        row = summary_of(arm, unit, limit, found[arm], "score=verifier" in strategy)
        rows.append(row)
        print(
            f"{limit:6} {unit:6} {arm:18} {row['share']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]  optimal "
            f"{row['optimal']:.2f}  {row['mean_steps']:6.1f} steps  {row['mean_tokens']:6} tokens "
            f"({row['mean_critic_tokens']} of the judge)  {row['mean_episodes']:.1f} episodes",
            flush=True,
        )
    paired: list[dict[str, Any]] = []
    for first, second in (pair for pair in PAIRS if found.keys() >= {*pair}):
        gains = [a.share - b.share for a, b in zip(found[first], found[second], strict=True)]
        low, high = bootstrap(len(gains), partial(_mean_of, gains))
        paired.append(
            {
                "budget": unit,
                "limit": limit,
                "first": first,
                "second": second,
                "difference": round(fmean(gains), 4),
                "ci_low": round(low, 4),
                "ci_high": round(high, 4),
            }
        )
    for one in paired:
        print(
            f"{one['limit']:6} {one['budget']:6} {one['first']} - {one['second']}: {one['difference']:+.3f} "
            f"[{one['ci_low']:+.3f}, {one['ci_high']:+.3f}]"
        )
    return rows, paired


def _mean_of(values: Sequence[float], chosen: Sequence[int]) -> float:
    return fmean(values[one] for one in chosen)


def main() -> int:
    """Print one line per strategy and budget, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", type=int, default=40, help="instances (default 40)")
    parser.add_argument("--steps", default="16,64,160", help="budgets of environment steps per shop")
    parser.add_argument("--tokens", default="4000", help="budgets of tokens per shop; empty = none")
    parser.add_argument("--error", type=float, default=0.25, help="of the shopper's judgement, standard deviation")
    parser.add_argument("--spread", type=float, default=0.1, help="how freely the shopper draws")
    parser.add_argument("--noise", type=float, default=0.15, help="of the judge, standard deviation")
    parser.add_argument(
        "--expand", type=int, default=5, help="actions per state in mcts (default 5, as in both papers)"
    )
    parser.add_argument("--arms", default="", help="rows, separated by semicolons; empty = all")
    parser.add_argument("--seed", type=int, default=0, help="of the searches")
    args = parser.parse_args()
    started = time.monotonic()
    optima = [values_of(shop).optimum for shop in range(FIRST_SHOP, FIRST_SHOP + args.shops)]
    print(f"{args.shops} shops, mean optimum {fmean(optima):.3f}", flush=True)
    rows: list[dict[str, Any]] = []
    paired: list[dict[str, Any]] = []
    for unit, limits in (("steps", args.steps), ("tokens", args.tokens)):
        for limit in (int(text) for text in limits.split(",") if text):
            more, differences = asyncio.run(measure(unit, limit, args))
            rows += more
            paired += differences
    settings = {name: getattr(args, name) for name in ("shops", "error", "spread", "noise", "expand", "seed")}
    seconds = round(time.monotonic() - started, 1)
    summary = {"bench": "environment", **settings, "mean_optimum": round(fmean(optima), 4), "seconds": seconds}
    print(json.dumps({**summary, "strategies": arms_of(args), "rows": rows, "paired": paired}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
