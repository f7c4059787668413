"""`actorcritic bench`: strategies at equal total tokens, with intervals, and which one won.

Each strategy runs once per seed, at the largest budget; smaller budgets are read off that run (`graphs/scaling.py` says
why this is the same). A strategy that plans with its budget is run once per budget. A run that broke off goes on with
--resume; no call that had finished is made again.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from actorcritic.bench import BenchReport, Facts, parse_contestants, summarize
from actorcritic.cli.bench_folder import BenchFolder, new_folder
from actorcritic.cli.bench_options import PROBLEMS, BenchConfig, Leg, check, gather, numbers, plan, take_up
from actorcritic.cli.bench_report import draw_curves, print_report
from actorcritic.cli.bench_running import Comparing, settings_of
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
from actorcritic.cli.runs import fit_pair
from actorcritic.cli.solve import Item
from actorcritic.engines.prices import read_prices
from actorcritic.errors import InputError
from actorcritic.graphs.settings import SearchSettings
from actorcritic.tasks.sources import TASK_NAMES
from actorcritic.trajectory.journal import utc_now

__all__ = ["bench"]

LIBRARIES = ("actorcritic", "langgraph", "torch", "transformers", "vllm")

OUT_HELP = "New folder for rows.jsonl, bench.json, scaling.png (extra: plot) and the log of every search."

DROP_HELP = (
    "Remove the log of a strategy and seed once all its problems have ended: then nothing is left of it but its rows, "
    "and with --share-samples a resumed comparison draws its samples anew."
)

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
    out: Annotated[Path | None, typer.Option(help=OUT_HELP, show_default="runs/bench-TASK-TIME")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder to go on with, under its own options; pays for nothing twice.")
    ] = None,
    drop_logs: Annotated[bool, typer.Option(help=DROP_HELP)] = False,
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
            drop_logs=drop_logs,
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
    roles = config.loading(legs[0]).load()
    if config.share_samples:
        roles = roles.sharing_samples()
    settings = [settings_of(config, leg, roles, items) for leg in legs]
    models = [engine.info.model for engine in roles.engines]
    if resume is not None and config.models != models:
        raise InputError(f"the models are no longer those that {resume} was begun with: start anew with --out")
    config = config.model_copy(update={"models": models})
    facts = _facts_of(config, items, settings[0])
    interrupted = False
    with _open_folder(config, items, out=out, resume=resume) as folder:
        comparing = Comparing(config=config, legs=legs, settings=settings, items=items, roles=roles, folder=folder)
        try:
            asyncio.run(comparing.work())
        except KeyboardInterrupt:
            interrupted = True
        report = summarize(folder.rows, facts)
        _show(report, folder, as_json=as_json)
    if interrupted:
        sys.stderr.write(
            f"interrupted; strategies that had not ended are left out; go on with: actorcritic bench --resume "
            f"{folder.folder}\n"
        )
        return 130
    return 1 if any(row.stopped_by == "failed" for row in folder.rows) else 0


def _open_folder(config: BenchConfig, items: Sequence[Item], *, out: Path | None, resume: Path | None) -> BenchFolder:
    """Return where everything goes."""
    if resume is not None:
        return BenchFolder(resume)
    place = new_folder(config.task, utc_now()) if out is None else out
    folder = BenchFolder.create(
        place, config.model_dump(mode="json"), [(item.problem, item.reference) for item in items]
    )
    if out is None:
        sys.stderr.write(f"without --out everything goes to {place}\n")
    return folder


def _show(report: BenchReport, folder: BenchFolder, *, as_json: bool) -> None:
    """Print the result and save it, with a picture where it can be drawn."""
    folder.save(report)
    if as_json:
        sys.stdout.write(f"{report.model_dump_json()}\n")
    else:
        print_report(report)
    if report.rows and not draw_curves(report, folder.folder / "scaling.png"):
        sys.stderr.write("no picture: pip install 'actorcritic[plot]' draws scaling.png\n")
    sys.stderr.write(f"saved in {folder.folder}, with {folder.log_bytes / 1e6:.1f} MB of logs in searches/\n")


def _facts_of(config: BenchConfig, items: Sequence[Item], settings: SearchSettings) -> Facts:
    """Return what the report says of the comparison as a whole."""
    return Facts(
        problems=len(items),
        budget="hard" if settings.exact else "estimated",
        versions=dict(_versions()),
        **config.model_dump(exclude={"max_tokens", "device", "dtype", "prices", "drop_logs"}),
    )


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for library in LIBRARIES:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            continue
