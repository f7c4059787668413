"""Strategies on the same instances of an environment, under the same budget: rows with intervals, paired differences.

Shared by the benchmarks over environments; knows none of them. Intervals are 95%, bootstrapped over instances;
differences are paired by instance.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any, TypeAlias

from actorcritic.budget import Budget
from actorcritic.graphs.environment_search import AGENT_Q, LATS, ROLLOUTS
from actorcritic.graphs.session import ProblemResult, Session
from actorcritic.metrics import bootstrap

__all__ = ["ARMS", "PAIRS", "Play", "Played", "add_options", "arms_of", "limits_of", "measure", "played"]

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
    ("best-of-n, judge", "greedy"),
    ("mcts", "best-of-n"),
    ("mcts with critic", "mcts"),
    ("mcts with critic", "best-of-n"),
    ("lats", "best-of-n"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What one strategy made of one instance."""

    share: float
    """Of the optimum, in [0, 1]."""
    steps: int
    tokens: int
    critic_tokens: int
    failures: int
    episodes: int


Play: TypeAlias = Callable[[int, str, Budget], Awaitable[Played]]
"""Searches one instance with a strategy."""


def played(result: ProblemResult, session: Session, share: float) -> Played:
    """Return what a search came to, with the share of the optimum that its answer reached."""
    usage = result.spend.usage
    return Played(
        share=share,
        steps=result.spend.steps.taken if result.spend.steps is not None else 0,
        tokens=result.spend.total.logical_tokens,
        critic_tokens=usage["critic"].logical_tokens if "critic" in usage else 0,
        # A trial that judges an episode takes it over as it is: one solution, one episode.
        failures=len(result.failures),
        episodes=len({id(item.solution) for item in session.attempts.values() if item.solution.complete}),
    )


def add_options(parser: argparse.ArgumentParser, *, steps: str, tokens: str) -> None:
    """Add the options that all these benchmarks share, with the defaults of their budgets."""
    parser.add_argument("--steps", default=steps, help="budgets of environment steps per instance")
    parser.add_argument("--tokens", default=tokens, help="budgets of tokens per instance; empty = none")
    parser.add_argument(
        "--expand", type=int, default=5, help="actions per state in mcts (default 5, as in both papers)"
    )
    parser.add_argument("--arms", default="", help="rows, separated by semicolons; empty = all")
    parser.add_argument("--seed", type=int, default=0, help="of the searches")


def arms_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the strategies that are asked for, by the name of their row."""
    chosen = [arm.strip() for arm in args.arms.split(";")] if args.arms else list(ARMS)
    return {arm: f"{ARMS[arm]},expand={args.expand}" if "mcts:" in ARMS[arm] else ARMS[arm] for arm in chosen}


def limits_of(args: argparse.Namespace) -> list[tuple[str, int]]:
    """Return the budgets that are asked for, each with its unit."""
    texts = (("steps", args.steps), ("tokens", args.tokens))
    return [(unit, int(text)) for unit, limits in texts for text in limits.split(",") if text]


async def measure(
    play: Play, instances: Sequence[int], arms: Mapping[str, str], budget: tuple[str, int], *, oracle: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Print and return the rows and the paired differences under one budget.

    Args:
        play: Searches one instance.
        instances: Their seeds.
        arms: Strategies by the name of their row.
        budget: The unit, steps or tokens, and how many.
        oracle: Whether the environment's reward is an oracle's, so that a row by it says so.
    """
    unit, limit = budget
    means = Budget(steps=limit) if unit == "steps" else Budget(tokens=limit)
    found: dict[str, list[Played]] = {}
    rows: list[dict[str, Any]] = []
    for arm, strategy in arms.items():
        found[arm] = await asyncio.gather(*(play(instance, strategy, means) for instance in instances))
        row = _row(arm, budget, found[arm], oracle and "score=verifier" in strategy)
        rows.append(row)
        print(
            f"{limit:6} {unit:6} {arm:18} {row['share']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]  optimal "
            f"{row['optimal']:.2f}  {row['mean_steps']:6.1f} steps  {row['mean_tokens']:6} tokens "
            f"({row['mean_critic_tokens']} of the judge)  {row['mean_episodes']:.1f} episodes",
            flush=True,
        )
    paired = [_pair(first, second, budget, found) for first, second in PAIRS if found.keys() >= {first, second}]
    for one in paired:
        print(
            f"{limit:6} {unit:6} {one['first']} - {one['second']}: {one['difference']:+.3f} "
            f"[{one['ci_low']:+.3f}, {one['ci_high']:+.3f}]",
            flush=True,
        )
    return rows, paired


def _row(arm: str, budget: tuple[str, int], found: Sequence[Played], oracle: bool) -> dict[str, Any]:
    """Return a row of the table."""
    shares = [one.share for one in found]
    return {
        "arm": arm,
        "oracle": oracle,
        "budget": budget[0],
        "limit": budget[1],
        **_interval("share", shares),
        "optimal": round(fmean(share > 1 - 1e-9 for share in shares), 4),
        "mean_steps": round(fmean(one.steps for one in found), 1),
        "mean_tokens": round(fmean(one.tokens for one in found)),
        "mean_critic_tokens": round(fmean(one.critic_tokens for one in found)),
        "failures": sum(one.failures for one in found),
        "mean_episodes": round(fmean(one.episodes for one in found), 1),
    }


def _pair(first: str, second: str, budget: tuple[str, int], found: Mapping[str, Sequence[Played]]) -> dict[str, Any]:
    """Return the difference between two rows."""
    gains = [a.share - b.share for a, b in zip(found[first], found[second], strict=True)]
    named = {"budget": budget[0], "limit": budget[1], "first": first, "second": second}
    return {**named, **_interval("difference", gains)}


def _interval(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return a mean under its name, with its interval."""
    low, high = bootstrap(len(values), partial(_mean_of, values))
    return {name: round(fmean(values), 4), "ci_low": round(low, 4), "ci_high": round(high, 4)}


def _mean_of(values: Sequence[float], chosen: Sequence[int]) -> float:
    return fmean(values[one] for one in chosen)
