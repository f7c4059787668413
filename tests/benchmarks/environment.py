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
from functools import partial
from statistics import fmean
from typing import Any

from actorcritic.budget import Budget
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.shop_players import shop_critic, shop_shopper
from actorcritic.environments.shop_values import values_of
from actorcritic.environments.web_shop import INFO, open_shop, shop_problem
from actorcritic.graphs.environment_search import environment_settings
from actorcritic.graphs.session import ProblemResult, SilentJournal
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.tasks.environment import episode_return
from tests.benchmarks.curves import Played, add_options, arms_of, limits_of, measure, played

FIRST_SHOP = 1000
"""The tests use the shops below."""


async def play(args: argparse.Namespace, shop: int, strategy: str, budget: Budget) -> Played:
    """Search one shop."""
    settings = environment_settings(strategy, INFO, budget=budget, seed=args.seed)
    actor = EnvironmentActor(shop_shopper(error=args.error, spread=args.spread), open_shop, INFO)
    session = new_session(await shop_problem(shop), settings, SilentJournal())
    result = await search_problem(session, actor, shop_critic(error=args.noise), settings)
    return played(result, session, share_of(result, shop))


def share_of(result: ProblemResult, shop: int) -> float:
    """Return the share of the optimum that the answer reached."""
    if result.attempt is None or not result.attempt.solution.complete:
        return 0.0
    return (episode_return(result.attempt.solution) or 0.0) / values_of(shop).optimum


def main() -> int:
    """Print one line per strategy and budget, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", type=int, default=40, help="instances (default 40)")
    parser.add_argument("--error", type=float, default=0.25, help="of the shopper's judgement, standard deviation")
    parser.add_argument("--spread", type=float, default=0.1, help="how freely the shopper draws")
    parser.add_argument("--noise", type=float, default=0.15, help="of the judge, standard deviation")
    add_options(parser, steps="16,64,160", tokens="4000")
    args = parser.parse_args()
    started = time.monotonic()
    shops, arms = range(FIRST_SHOP, FIRST_SHOP + args.shops), arms_of(args)
    optima = [values_of(shop).optimum for shop in shops]
    print(f"{args.shops} shops, mean optimum {fmean(optima):.3f}", flush=True)
    rows: list[dict[str, Any]] = []
    paired: list[dict[str, Any]] = []
    for budget in limits_of(args):
        more, differences = asyncio.run(measure(partial(play, args), shops, arms, budget, oracle=True))
        rows += more
        paired += differences
    settings = {name: getattr(args, name) for name in ("shops", "error", "spread", "noise", "expand", "seed")}
    seconds = round(time.monotonic() - started, 1)
    summary = {"bench": "environment", **settings, "mean_optimum": round(fmean(optima), 4), "seconds": seconds}
    print(json.dumps({**summary, "strategies": arms, "rows": rows, "paired": paired}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
