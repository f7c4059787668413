"""`actorcritic bench`: strategies at equal total tokens, with intervals, and which one won.

Each strategy runs once per seed, at the largest budget; smaller budgets are read off that run (`graphs/scaling.py` says
why this is the same). A strategy that plans with its budget is run once per budget. A run that broke off goes on with
--resume; finished problems are not run again.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from actorcritic.bench import Facts, ProblemRow, ReadingRecord, parse_contestants, summarize
from actorcritic.cli.bench_folder import BenchFolder, Rows
from actorcritic.cli.bench_options import PROBLEMS, BenchConfig, Leg, check, gather, numbers, plan, take_up
from actorcritic.cli.bench_report import draw_curves, print_report
from actorcritic.cli.options import (
    ACTOR_HELP,
    CRITIC_HELP,
    FROM_THE_RUN,
    BudgetMoney,
    Device,
    Dtype,
    MaxTokens,
    Prices,
    RewardModel,
    Temperature,
    Verifier,
    refuse_others,
)
from actorcritic.cli.progress import Progress
from actorcritic.cli.runs import fit_pair
from actorcritic.cli.solve import Item, check_budget
from actorcritic.critic import CalculationCritic
from actorcritic.engines.prices import read_prices
from actorcritic.errors import InputError
from actorcritic.graphs.scaling import Reading, ScaledResult, search_budgets
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.loading import Roles
from actorcritic.protocols import Critic
from actorcritic.search.strategies import needs_critic
from actorcritic.tasks.checkers import verify
from actorcritic.tasks.oracle import OracleCritic
from actorcritic.tasks.sources import TASK_NAMES
from actorcritic.types import Role

__all__ = ["bench"]

ROLES: tuple[Role, ...] = ("actor", "critic", "reward_model")

LIBRARIES = ("actorcritic", "langgraph", "torch", "transformers", "vllm")

RESUMED = frozenset({"resume", "as_json"})
"""What still says something where a comparison is gone on with."""

STRATEGIES_HELP = (
    "As of solve, separated by ';' or by ',' (an option=value after a comma belongs to the strategy before it); may be "
    "repeated. NAME@oracle gives one strategy the oracle critic: a ceiling."
)


def bench(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    task: Annotated[
        str | None, typer.Option(help=f"{', '.join(TASK_NAMES)}; with --problems only the name in the report.")
    ] = None,
    problems: Annotated[Path | None, typer.Option(help="JSON lines: id, problem, answer, checker, meta.")] = None,
    strategies: Annotated[list[str] | None, typer.Option(help=STRATEGIES_HELP)] = None,
    budgets: Annotated[str, typer.Option(help="Logical tokens per problem, critic included.")] = "128,256,512,1024",
    seeds: Annotated[str, typer.Option(help="Every strategy runs once per seed.")] = "0",
    limit: Annotated[
        int | None, typer.Option(help="Number of problems.", show_default=f"{PROBLEMS} of a task, all of a file")
    ] = None,
    split: Annotated[str | None, typer.Option(help="test or dev; of a task.", show_default="test")] = None,
    actor: Annotated[str, typer.Option(help=ACTOR_HELP)] = "embedded",
    critic: Annotated[str | None, typer.Option(help=CRITIC_HELP, show_default="the actor's")] = None,
    reward_model: RewardModel = None,
    verifier: Verifier = None,
    budget_money: BudgetMoney = None,
    prices: Prices = None,
    width: Annotated[int, typer.Option(help="Trials in flight per problem; above 1 readings are only near.")] = 1,
    concurrency: Annotated[int, typer.Option(help="Problems in flight.")] = 64,
    share_samples: Annotated[
        bool, typer.Option(help="Answer repeated requests from memory: same figures; seconds say nothing.")
    ] = False,
    temperature: Temperature = 1.0,
    max_tokens: MaxTokens = 1024,
    device: Device = "auto",
    dtype: Dtype = "auto",
    out: Annotated[
        Path | None, typer.Option(help="New folder for rows.jsonl, bench.json and scaling.png (extra: plot).")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder to go on with, under its own options; runs no finished problem again.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> int:
    """Compare strategies at equal total tokens: accuracy with intervals, tokens of each role, and which one won."""
    if resume is not None:
        refuse_others(context, "--resume", RESUMED, FROM_THE_RUN)
        config, items = take_up(resume)
    else:
        config = BenchConfig(
            task=task or (problems.stem if problems is not None else ""),
            split=None if problems is not None else split or "test",
            strategies=[contestant.label for contestant in parse_contestants(strategies or [])],
            budgets=sorted(numbers(budgets, "--budgets", low=1)),
            seeds=numbers(seeds, "--seeds", low=0),
            actor=actor,
            critic=critic,
            width=width,
            concurrency=concurrency,
            share_samples=share_samples,
            temperature=temperature,
            max_tokens=max_tokens,
            device=device,
            dtype=dtype,
            reward_model=reward_model,
            verifier=verifier,
            budget_money=budget_money,
            prices={} if prices is None else read_prices(prices),
        )
        items = gather(task, problems, limit, split)
        config = fit_pair(config, [item.problem for item in items])
    legs = plan(config)
    check(config, legs, items)
    return _compare(config, legs, items, out=out, resume=resume, as_json=as_json)


def _compare(
    config: BenchConfig,
    legs: Sequence[Leg],
    items: Sequence[Item],
    *,
    out: Path | None,
    resume: Path | None,
    as_json: bool,
) -> int:
    """Run what is not there yet, show and save the result, and return the exit code.

    Raises:
        InputError: a strategy cannot run with these models, or the folder was begun with others.
    """
    roles = config.run(legs[0].contestant, legs[0].seed, legs[0].limit).load()
    if config.share_samples:
        roles = roles.sharing_samples()
    settings = [_settings_of(config, leg, roles, items) for leg in legs]
    models = [engine.info.model for engine in roles.engines]
    if resume is not None and config.models != models:
        raise InputError(f"the models are no longer those that {resume} was begun with: start anew with --out")
    config = config.model_copy(update={"models": models})
    facts = _facts_of(config, items, settings[0])
    interrupted = False
    with _open_rows(config, items, out=out, resume=resume) as rows:
        try:
            asyncio.run(_work(legs, settings, items, roles, rows, config.concurrency))
        except KeyboardInterrupt:
            interrupted = True
        report = summarize(rows.rows, facts)
        rows.save(report)
        if as_json:
            sys.stdout.write(f"{report.model_dump_json()}\n")
        else:
            print_report(report)
        folder = out or resume
        if folder is not None and report.rows and not draw_curves(report, folder / "scaling.png"):
            sys.stderr.write("no picture: pip install 'actorcritic[plot]' draws scaling.png\n")
    if interrupted:
        where = f": go on with --resume {folder}" if folder is not None else ""
        sys.stderr.write(f"interrupted; strategies that had not ended are left out{where}\n")
        return 130
    return 1 if any(row.stopped_by == "failed" for row in rows.rows) else 0


def _open_rows(config: BenchConfig, items: Sequence[Item], *, out: Path | None, resume: Path | None) -> Rows:
    """Return where the rows go."""
    if resume is not None:
        return BenchFolder(resume)
    if out is None:
        return Rows()
    return BenchFolder.create(out, config.model_dump(mode="json"), [(item.problem, item.reference) for item in items])


def _roles_of(leg: Leg, roles: Roles) -> Roles:
    """Return who plays in a run: the comparison's roles, or the contestant's own critic."""
    if leg.contestant.critic is None:
        return roles
    critic: Critic = OracleCritic() if leg.contestant.critic == "oracle" else CalculationCritic()
    return replace(roles, critic=critic)


def _settings_of(config: BenchConfig, leg: Leg, roles: Roles, items: Sequence[Item]) -> SearchSettings:
    """Return how a run searches.

    Raises:
        InputError: the strategy lacks its critic, or the smallest budget cannot pay for one step of some problem.
    """
    players = _roles_of(leg, roles)
    run = config.run(leg.contestant, leg.seed, leg.limit)
    settings = replace(
        run.settings(),
        scorers=run.scorers(players, [(item.problem, item.reference) for item in items]),
        exact=players.exact,
        prices=run.prices_of(players),
        trial_tokens=players.trial_tokens([item.problem for item in items]),
    )
    check_roles(settings.strategy, players.critic, scorers=settings.scorers)
    check_budget(players, replace(settings, budget=replace(settings.budget, tokens=min(leg.budgets))), items)
    return settings


def _facts_of(config: BenchConfig, items: Sequence[Item], settings: SearchSettings) -> Facts:
    """Return what the report says of the comparison as a whole."""
    return Facts(
        problems=len(items),
        budget="hard" if settings.exact else "estimated",
        versions=dict(_versions()),
        **config.model_dump(exclude={"max_tokens", "device", "dtype", "prices"}),
    )


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for library in LIBRARIES:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            continue


async def _work(
    legs: Sequence[Leg],
    settings: Sequence[SearchSettings],
    items: Sequence[Item],
    roles: Roles,
    rows: Rows,
    concurrency: int,
) -> None:
    """Run one leg after the other, every problem that has no row yet."""
    try:
        for number, (leg, how) in enumerate(zip(legs, settings, strict=True), start=1):
            label = leg.contestant.label
            left = {
                item.problem.id: item for item in items if not rows.has(label, leg.seed, leg.limit, item.problem.id)
            }
            if not left:
                continue
            sys.stderr.write(f"{number} of {len(legs)}: {label}, seed {leg.seed}, {leg.limit} tokens\n")
            players = _roles_of(leg, roles)
            oracle = how.scorers.oracle(how.strategy) or (
                needs_critic(how.strategy) and players.critic is not None and players.critic.oracle
            )
            problems = [item.problem for item in left.values()]
            with Progress(len(left)) as progress:
                async for scaled in search_budgets(
                    problems, players.actor, players.critic, how, leg.budgets, concurrency=concurrency
                ):
                    row = await _judge(left[scaled.result.problem.id], scaled, leg, oracle=oracle)
                    rows.add(row)
                    progress.advance(scaled.result.spend.total.logical_tokens, row.readings[-1].correct)
    finally:
        await roles.aclose()


async def _judge(item: Item, scaled: ScaledResult, leg: Leg, *, oracle: bool) -> ProblemRow:
    """Compare what a problem brought at every budget with the gold side, which nothing in the run has seen."""

    async def read(reading: Reading) -> ReadingRecord:
        solution = None if reading.attempt is None else reading.attempt.solution
        usage = reading.spend.usage
        actor, critic, rewarding = (usage.get(role) for role in ROLES)
        return ReadingRecord(
            budget_tokens=reading.budget,
            correct=bool(await verify(item.problem, solution, item.reference)),
            total_tokens=reading.spend.total.logical_tokens,
            actor_tokens=actor.logical_tokens if actor else 0,
            critic_tokens=critic.logical_tokens if critic else 0,
            reward_model_tokens=rewarding.logical_tokens if rewarding else 0,
            seconds=round(reading.seconds, 4),
            money=reading.spend.money,
            trials=reading.trials,
            failures=reading.failures,
        )

    return ProblemRow(
        strategy=leg.contestant.label,
        oracle=oracle,
        seed=leg.seed,
        limit=leg.limit,
        problem=item.problem.id,
        stopped_by=scaled.result.stopped_by,
        readings=[await read(reading) for reading in scaled.readings],
    )
