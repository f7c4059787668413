"""How well searches play games that are not ours, at equal steps and tokens; and whether what they log is of use.

    python -m tests.benchmarks.textworld [--games 20] [--level medium] [--steps 30,90,240] [--tokens ...] ...

The games are TextWorld's cooking games, of held-out seeds (extra `textworld`); a share is the points of the answer over
those of the game. A scripted cook plays by what it reads, with a fixed error per situation, a scripted judge estimates
from the text with noise (see `textworld_players`): no row sees a hidden state, and none is an oracle run, since a game
shows its score. Every strategy plays the same games under the same budget. Intervals are 95%, bootstrapped over games;
differences are paired by game.

Then games of training seeds are searched into run folders. Every log is cut at random places and gone on with; the
recipes agent-q, eef and faft make rows of them, and each row is held against what the recipe promises. The last line is
JSON; the exit code is 1 where anything of that does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from actorcritic.budget import Budget
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.textworld import LEVELS, TextWorldGames, game_seeds, textworld_info
from actorcritic.environments.textworld_players import textworld_cook, textworld_judge
from actorcritic.graphs.environment_search import AGENT_Q, LATS, environment_settings
from actorcritic.graphs.session import SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.tasks.environment import episode_return
from tests.benchmarks.curves import Played, add_options, arms_of, limits_of, measure, played
from tests.benchmarks.episodes import Checks, collect, export, record, resume

T = TypeVar("T")

RECORDED = {
    "mcts with critic": (f"{AGENT_Q},expand=4", ("agent-q:theta=0.1",)),
    "lats": (f"{LATS},expand=4", ("agent-q:theta=0.1",)),
    "best-of-n": ("best-of-n:score=verifier,n=6", ("eef:form=turns", "eef", "faft")),
    "best-of-n, judge": ("best-of-n:score=critic,n=6", ("faft:source=critique",)),
}
"""Searches that are recorded, and what is made of each."""
COLLECTED = ("score", "feedback", "resimulate:every=4,m=2")
"""Collection steps of the runs that need them."""


def player(args: argparse.Namespace, games: TextWorldGames) -> EnvironmentActor:
    """Return the cook in its games."""
    cook = textworld_cook(error=args.error, spread=args.spread)
    return EnvironmentActor(cook, games.open, textworld_info(args.level))


def settings_of(args: argparse.Namespace, strategy: str, budget: Budget) -> SearchSettings:
    """Return how to search: unfinished episodes count what they have earned, as the game shows."""
    return environment_settings(strategy, textworld_info(args.level), budget=budget, seed=args.seed, partial=True)


async def play(args: argparse.Namespace, seed: int, strategy: str, budget: Budget) -> Played:
    """Search one game."""
    games = TextWorldGames()
    settings = settings_of(args, strategy, budget)
    session = new_session(await games.problem(args.level, seed), settings, SilentJournal())
    result = await search_problem(session, player(args, games), textworld_judge(error=args.noise), settings)
    earned = None if result.attempt is None else episode_return(result.attempt.solution)
    return played(result, session, earned or 0.0)


async def record_one(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """Record a search of several games, cut and export it; return what came of it."""
    games, (strategy, recipes) = TextWorldGames(), RECORDED[name]
    problems = [await games.problem(args.level, seed) for seed in game_seeds(args.level, "train", args.recorded)]
    judge, settings = textworld_judge(error=args.noise), settings_of(args, strategy, Budget(steps=args.recorded_steps))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        results = await record(run, problems, player(args, games), judge, settings)
        checks = await resume(run, results, partial(player, args, games), judge, settings, args.cuts)
        if not all(recipe.startswith("agent-q") for recipe in recipes):
            await collect(run, player(args, games), COLLECTED)
        exports = [export(run, recipe) for recipe in recipes]
    return {"search": name, "games": len(results), "checks": checks, "exports": exports}


def run_here(work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """Run asynchronous work to its end; what a process of the pool is given."""
    return asyncio.run(work(*arguments))


async def measure_all(args: argparse.Namespace, pool: Executor) -> dict[str, Any]:
    """Print and return the curve, and what the records are good for; games are shared among the pool's processes."""
    loop = asyncio.get_running_loop()

    def play_there(seed: int, strategy: str, budget: Budget) -> Awaitable[Played]:
        return loop.run_in_executor(pool, run_here, play, args, seed, strategy, budget)

    rows: list[dict[str, Any]] = []
    paired: list[dict[str, Any]] = []
    arms, seeds = arms_of(args), game_seeds(args.level, "test", args.games)
    for budget in limits_of(args):
        more, differences = await measure(play_there, seeds, arms, budget, oracle=False)
        rows += more
        paired += differences
    recorded = [loop.run_in_executor(pool, run_here, record_one, args, name) for name in RECORDED]
    for waiting in recorded:
        one = await waiting
        print(f"{one['search']}: {one['games']} games recorded", flush=True)
        _print(one["checks"])
        for made in one["exports"]:
            print(f"  {made['recipe']}: {made['rows']} rows {made['kinds']}, left out {made['drops']}", flush=True)
            _print(made["checks"])
    return {"strategies": arms, "rows": rows, "paired": paired, "recorded": [await one for one in recorded]}


def _print(checks: Checks) -> None:
    for name, (held, of) in checks.items():
        print(f"    {held} of {of}: {name}", flush=True)


def holds(recorded: list[dict[str, Any]]) -> bool:
    """Return whether every recipe made rows and every check held."""
    made = [export for one in recorded for export in one["exports"]]
    rows = Counter[str]()
    for one in made:
        rows[one["recipe"].partition(":")[0]] += one["rows"]
    checks = [each["checks"] for each in (*recorded, *made)]
    return all(rows.values()) and all(held == of for each in checks for held, of in each.values())


def main() -> int:
    """Print one line per strategy and budget, then what the records are good for, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=20, help="held-out games (default 20)")
    parser.add_argument("--level", choices=tuple(LEVELS), default="medium", help="of the games (default medium)")
    parser.add_argument("--error", type=float, default=0.5, help="of the cook's judgement, standard deviation")
    parser.add_argument("--spread", type=float, default=0.08, help="how freely the cook draws")
    parser.add_argument("--noise", type=float, default=0.15, help="of the judge, standard deviation")
    parser.add_argument("--recorded", type=int, default=6, help="games per recorded search (default 6)")
    parser.add_argument("--recorded-steps", type=int, default=160, help="environment steps of each (default 160)")
    parser.add_argument("--cuts", type=int, default=3, help="places at which each log is cut (default 3)")
    add_options(parser, steps="30,90,240", tokens="20000")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="that share the games")
    args = parser.parse_args()
    started = time.monotonic()
    print(f"{args.games} held-out games, {textworld_info(args.level).name}", flush=True)
    with ProcessPoolExecutor(args.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = asyncio.run(measure_all(args, pool))
    names = ("games", "level", "error", "spread", "noise", "expand", "seed", "recorded", "recorded_steps", "cuts")
    summary: dict[str, Any] = {"bench": "textworld", **{name: getattr(args, name) for name in names}}
    summary |= {"seconds": round(time.monotonic() - started, 1), "holds": holds(found["recorded"])}
    print(json.dumps({**summary, **found}))
    return 0 if summary["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
