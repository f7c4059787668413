"""its_hub and TreeQuest on our engine, with our critic as the scorer, at equal total tokens.

    python -m tests.benchmarks.peers --task countdown-4 --limit 200 --budgets 128,256,512 [--out FOLDER]

The algorithms are the libraries' own, unchanged, with their own defaults; problems, models, prompts, verdicts and bills
are those of `actorcritic bench`, and so are table and JSON: the rows can stand beside its rows, and with --out those of
`rows.jsonl` pair with its own by problem and seed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from actorcritic.bench import Facts, ProblemRow, summarize
from actorcritic.cli.bench_report import print_report
from actorcritic.errors import ActorCriticError, InputError
from actorcritic.loading import LoadOptions, Roles, load_roles
from actorcritic.tasks.sources import TASKS, draw_problems
from actorcritic.types import Problem
from tests.benchmarks.peers.account import Peer, Work


def find_peers(names: str | None) -> list[Peer]:
    """Return the methods with these labels, all by default.

    Raises:
        InputError: there is no such method.
    """
    from tests.benchmarks.peers.hub import hub_peers  # noqa: PLC0415 - the libraries are of the extra `peers`
    from tests.benchmarks.peers.quest import quest_peers  # noqa: PLC0415 - likewise

    known: dict[str, Callable[[], Peer]] = {**hub_peers(), **quest_peers()}
    chosen = list(known) if names is None else names.split(",")
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise InputError(f"unknown method {unknown[0]!r}; choose from: {', '.join(known)}")
    return [known[name]() for name in chosen]


async def run_peer(
    peer: Peer, problems: Sequence[Problem], roles: Roles, args: argparse.Namespace, seed: int
) -> list[ProblemRow]:
    """Return a method's rows; a problem on which it fails is one that it does not solve."""
    room = asyncio.Semaphore(args.concurrency)
    done = 0

    async def solve(problem: Problem) -> ProblemRow:
        nonlocal done
        async with room:
            readings = await peer.solve(Work.of(problem, roles, seed), args.budgets)
        done += 1
        sys.stderr.write(f"\r{peer.label}, seed {seed}: {done} of {len(problems)} ")
        return ProblemRow(
            strategy=peer.label,
            oracle=False,
            seed=seed,
            limit=max(args.budgets),
            problem=problem.id,
            stopped_by="tokens",
            readings=readings,
        )

    start = time.monotonic()
    rows = await asyncio.gather(*map(solve, problems))
    share = round((time.monotonic() - start) / len(problems), 4)
    sys.stderr.write("\n")
    return [
        row.model_copy(update={"readings": [one.model_copy(update={"seconds": share}) for one in row.readings]})
        for row in rows
    ]


async def run_all(peers: Sequence[Peer], problems: Sequence[Problem], args: argparse.Namespace) -> list[ProblemRow]:
    """Return the rows of all methods under all seeds, from one engine that remembers its samples."""
    roles = load_roles(args.actor, args.critic, LoadOptions(temperature=1.0)).sharing_samples()
    args.models = [engine.info.model for engine in roles.engines]
    rows: list[ProblemRow] = []
    try:
        for peer in peers:
            for seed in args.seeds:
                fresh = await run_peer(peer, problems, roles, args, seed)
                rows += fresh
                if args.out is not None:
                    with args.out.open("a", encoding="utf-8") as file:
                        file.writelines(f"{row.model_dump_json()}\n" for row in fresh)
    finally:
        await roles.aclose()
    return rows


def facts_of(peers: Sequence[Peer], problems: Sequence[Problem], args: argparse.Namespace) -> Facts:
    """Return what the report says of the comparison as a whole."""
    return Facts(
        task=args.task,
        split="test",
        problems=len(problems),
        seeds=args.seeds,
        strategies=[peer.label for peer in peers],
        budgets=args.budgets,
        actor=args.actor,
        critic=args.critic,
        models=args.models,
        width=1,
        concurrency=args.concurrency,
        share_samples=True,
        temperature=1.0,
        budget="hard",
        versions={name: version(name) for name in ("its_hub", "treequest", "torch", "transformers")},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""

    def numbers(text: str) -> list[int]:
        return sorted({int(part) for part in text.split(",")})

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="countdown-4", choices=list(TASKS), help="held-out problems of this task")
    parser.add_argument("--limit", type=int, default=200, help="problems (default 200)")
    parser.add_argument("--budgets", type=numbers, default=[128, 256, 512], help="logical tokens per problem")
    parser.add_argument("--seeds", type=numbers, default=[0], help="every method runs once per seed (default 0)")
    parser.add_argument("--methods", help="labels separated by commas (default all)")
    parser.add_argument("--actor", default="embedded", help="as of actorcritic bench")
    parser.add_argument("--critic", help="as of actorcritic bench (default: the actor's)")
    parser.add_argument("--concurrency", type=int, default=32, help="problems in flight; 1 = the same draws each time")
    parser.add_argument("--out", type=Path, help="new file for one JSON line per problem, as rows.jsonl of bench")
    args = parser.parse_args(arguments)
    try:
        peers = find_peers(args.methods)
        problems = draw_problems(args.task, "test", args.limit)
        report = summarize(asyncio.run(run_all(peers, problems, args)), facts_of(peers, problems, args))
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error.name} is not installed: make bench-peers installs it\n")
        return 2
    except ActorCriticError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print_report(report)
    print(report.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
