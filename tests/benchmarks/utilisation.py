"""How full searches keep the engine: their tokens per second as a share of what the engine makes of the same requests.

    python -m tests.benchmarks.utilisation [--problems 64] [--concurrency 64] [--strategies "best-of-n:n=16;mcts:n=16"]

A search runs on so many problems at once, one trial each in flight, and every request to actor and critic is recorded.
The very same requests then go straight to the engines in the same order, by as many workers: these are never fewer,
while a search of 64 problems has ever fewer in flight towards its end (with `--problems 512` that hardly shows). Each
run has freshly loaded engines, so that no cache is warm; both sides take turns, and shares are of medians: by the wall
clock, and by processor time, which other programs disturb less. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from actorcritic.actor import ModelActor
from actorcritic.critic import ModelCritic
from actorcritic.graphs.session import SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.loading import load_roles
from actorcritic.search.strategies import parse_strategy
from actorcritic.tasks.sources import draw_problems
from actorcritic.types import GenerateRequest, Problem
from tests.benchmarks.recording import Asked, Recorder

STRATEGIES = "best-of-n:n=16;revise:rounds=16;mcts:n=16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run took."""

    tokens: int
    """Completion tokens, both roles."""
    clock: float
    """Seconds."""
    processor: float
    """Seconds of all threads."""

    @property
    def speed(self) -> float:
        """Tokens per second of the clock."""
        return self.tokens / self.clock


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request and whom it went to."""

    start: float
    actor: bool
    request: GenerateRequest


async def search(
    problems: Sequence[Problem], strategy: str, model: str, concurrency: int
) -> tuple[Run, list[Recorded]]:
    """Run a search on the problems, so many at once."""
    roles = load_roles(model)
    assert isinstance(roles.critic, ModelCritic)
    writer, judge = Recorder(roles.actor.engine), Recorder(roles.critic.engine)
    actor = ModelActor(writer, roles.actor.format, sampling=roles.actor.sampling, max_tokens=roles.actor.max_tokens)
    critic = ModelCritic(judge, roles.critic.format)
    settings = SearchSettings(strategy=parse_strategy(strategy))
    sessions = [new_session(problem, settings, SilentJournal()) for problem in problems]
    clock, spent = time.perf_counter(), time.process_time()
    async for _ in solve_all(sessions, actor, critic, settings, concurrency=concurrency):
        pass
    clock, spent = time.perf_counter() - clock, time.process_time() - spent
    await roles.aclose()
    recorded = [Recorded(one.start, side is writer, one.request) for side in (writer, judge) for one in side.asked]
    run = Run(tokens=_tokens(writer.asked) + _tokens(judge.asked), clock=clock, processor=spent)
    return run, sorted(recorded, key=lambda one: one.start)


async def replay(recorded: Sequence[Recorded], workers: int, model: str) -> Run:
    """Send the same requests straight to the engines."""
    roles = load_roles(model)
    assert isinstance(roles.critic, ModelCritic)
    actor, critic = roles.actor.engine, roles.critic.engine
    left = iter(recorded)
    tokens = 0

    async def work() -> None:
        nonlocal tokens
        for one in left:
            generation = await (actor if one.actor else critic).generate(one.request)
            tokens += generation.usage.completion_tokens

    clock, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    clock, spent = time.perf_counter() - clock, time.process_time() - spent
    await roles.aclose()
    return Run(tokens=tokens, clock=clock, processor=spent)


def _tokens(asked: Sequence[Asked]) -> int:
    return sum(len(one.completion) for one in asked)


async def compare(strategy: str, problems: Sequence[Problem], args: argparse.Namespace) -> dict[str, Any]:
    """Run both sides in turn and return the medians."""
    ours, theirs = list[Run](), list[Run]()
    for _ in range(args.repeats + 1):
        run, recorded = await search(problems, strategy, args.model, args.concurrency)
        ours.append(run)
        theirs.append(await replay(recorded, args.concurrency, args.model))
        assert ours[-1].tokens == theirs[-1].tokens, "the engine must give the same tokens for the same requests"
    ours, theirs = ours[1:], theirs[1:]  # the first warms both up

    ours_speed, theirs_speed = (statistics.median(run.speed for run in runs) for runs in (ours, theirs))
    ours_cpu, theirs_cpu = (statistics.median(run.processor for run in runs) for runs in (ours, theirs))
    row = {
        "strategy": strategy,
        "tokens": ours[0].tokens,
        "search_tokens_per_second": round(ours_speed, 1),
        "engine_tokens_per_second": round(theirs_speed, 1),
        "share": round(ours_speed / theirs_speed, 3),
        "share_cpu": round(theirs_cpu / ours_cpu, 3),
    }
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


async def run_all(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row per strategy."""
    problems = draw_problems(args.task, "test", args.problems)
    return [await compare(strategy, problems, args) for strategy in args.strategies.split(";")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per strategy, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="countdown-4", help="held-out problems of this task (default countdown-4)")
    parser.add_argument("--problems", type=int, default=64, help="how many (default 64)")
    parser.add_argument("--concurrency", type=int, default=64, help="problems in flight at once (default 64)")
    parser.add_argument("--strategies", default=STRATEGIES, help=f"separated by semicolons (default {STRATEGIES})")
    parser.add_argument("--repeats", type=int, default=3, help="measured runs of each side (default 3)")
    parser.add_argument("--model", default="embedded", help="the pair: embedded or embedded:FOLDER (default embedded)")
    args = parser.parse_args(arguments)
    rows = asyncio.run(run_all(args))
    summary: dict[str, Any] = {"bench": "utilisation", "share": min(row["share"] for row in rows)}
    summary["share_cpu"] = min(row["share_cpu"] for row in rows)
    settings = {"task": args.task, "problems": args.problems, "concurrency": args.concurrency, "model": args.model}
    versions = {name: version(name) for name in ("langgraph", "torch", "transformers")}
    print(json.dumps({**summary, **settings, "rows": rows, "versions": versions}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
