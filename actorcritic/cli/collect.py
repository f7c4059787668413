"""`actorcritic collect`: trajectories at scale, every complete attempt scored afterwards, over many processes.

The run folder it fills is what `actorcritic export` reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from actorcritic.cli.cluster import run_on_cluster
from actorcritic.cli.collect_steps import StepOrder, run_step
from actorcritic.cli.collecting import collect_part, collect_shard
from actorcritic.cli.fleet import REPORT, pass_on_once, run_processes
from actorcritic.cli.options import (
    ACTOR_HELP,
    CRITIC_HELP,
    FROM_THE_RUN,
    BudgetCalls,
    BudgetMoney,
    BudgetSeconds,
    BudgetTokens,
    Device,
    Dtype,
    KeepPrompts,
    MaxTokens,
    Prices,
    RewardModel,
    Temperature,
    Verifier,
    given_options,
    refuse_others,
)
from actorcritic.cli.runs import Run, RunConfig, fit_pair
from actorcritic.cli.solve import Item
from actorcritic.cli.solve import collect as read_items
from actorcritic.cli.tally import Collected, Hear, Tally, print_line
from actorcritic.engines.prices import read_prices
from actorcritic.errors import InputError
from actorcritic.loading import LoadOptions
from actorcritic.search.strategies import STRATEGIES, parse_strategy
from actorcritic.tasks.heldout import Split
from actorcritic.tasks.sources import TASK_NAMES, draw_problems
from actorcritic.trajectory.shards import WHOLE, Shard, parse_shard
from actorcritic.types import Reference

__all__ = ["collect"]

PROBLEMS = 1000
"""How many problems of a task, unless --limit says otherwise."""

RESUMED = frozenset({"resume", "shard", "processes", "ray", "as_json", "report"})
"""What still says something where a run is gone on with."""

APPENDED = frozenset(
    {
        *("source", "step", "actor", "critic", "temperature", "max_tokens", "device", "dtype"),
        *("seed", "concurrency", "limit", "as_json", "shard", "processes", "ray", "report"),
    }
)
"""What says something where a step is appended to a run."""

SPLITS: dict[str, Split] = {"train": "train", "dev": "dev"}
"""Test problems are none to train on."""


def collect(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    problems: Annotated[Path | None, typer.Option(help="JSON lines: id, problem, answer, checker, meta.")] = None,
    task: Annotated[str | None, typer.Option(help=f"{', '.join(TASK_NAMES)}; instead of --problems.")] = None,
    split: Annotated[str | None, typer.Option(help="train or dev; of a task.", show_default="train")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Number of problems.", show_default=f"{PROBLEMS} of a task, all of a file")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New run folder; a shard also joins one begun by another.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Run folder to go on with, under its own options; pays for nothing twice.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Run folder that is done, for --step.", show_default=False)
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(help="NAME or NAME:option=value,... of what to append to --from; an unknown one prints the list."),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="NAME or NAME:option=value,...; an unknown one prints the list.")
    ] = "best-of-n",
    samples: Annotated[
        int | None, typer.Option(help="Trials per problem: the strategy's own count.", show_default="the strategy's")
    ] = None,
    actor: Annotated[str | None, typer.Option(help=ACTOR_HELP, show_default="embedded; that of --from")] = None,
    critic: Annotated[str | None, typer.Option(help=CRITIC_HELP, show_default="the actor's")] = None,
    reward_model: RewardModel = None,
    verifier: Verifier = None,
    budget_tokens: BudgetTokens = None,
    budget_calls: BudgetCalls = None,
    budget_seconds: BudgetSeconds = None,
    budget_money: BudgetMoney = None,
    prices: Prices = None,
    width: Annotated[int, typer.Option(help="Trials in flight per problem.")] = 4,
    concurrency: Annotated[int, typer.Option(help="Problems in flight, per process.")] = 256,
    temperature: Temperature = 1.0,
    max_tokens: MaxTokens = 1024,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    shard: Annotated[
        str | None,
        typer.Option(help="I/N: this process takes the I-th (from 0) of N parts of the problems.", show_default="0/1"),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes on this machine, or tasks on a cluster; one shard each.", show_default="1"),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Run on a Ray cluster: its address, or `local`. --out is on shared storage.")
    ] = None,
    prompts: KeepPrompts = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
    report: Annotated[bool, typer.Option(REPORT, hidden=True)] = False,
) -> int:
    """Collect trajectories: search every problem, score every complete attempt afterwards, keep it all in a folder."""
    if source is not None and step is not None:
        refuse_others(context, "--from", APPENDED, "takes problems from the run folder and appends to it")
        loading = LoadOptions(device=device, dtype=dtype, temperature=temperature, max_tokens=max_tokens)
        return run_step(
            StepOrder(
                folder=source,
                step=step,
                actor=actor,
                critic=critic,
                options=loading,
                own_max_tokens="max_tokens" not in given_options(context),
                seed=seed,
                concurrency=concurrency,
                limit=limit,
                as_json=as_json,
                shard=_part(shard, processes, ray),
                processes=processes,
                ray=ray,
                report=report,
            )
        )
    if resume is not None:
        refuse_others(context, "--resume", RESUMED, FROM_THE_RUN)
    if (source, step) != (None, None):
        raise InputError("--from RUN and --step NAME belong together: give both, or neither")
    part = _part(shard, processes, ray)
    if resume is not None:
        config, pairs = Run.read(resume)
        items: Sequence[Item] = [Item(problem=problem, reference=gold) for problem, gold in pairs]
    else:
        if out is None:
            raise InputError("give --out, a new folder for the run, or --resume, one to go on with")
        if not prompts and (shard, processes, ray) != (None, None, None):
            raise InputError("--no-prompts is for one process: others read the problems from the run folder")
        items = _gather(problems, task, split, limit)
        config = RunConfig(
            strategy=_with_samples(strategy, samples),
            actor=actor or "embedded",
            critic=critic,
            budget_tokens=budget_tokens,
            budget_calls=budget_calls,
            budget_seconds=budget_seconds,
            budget_money=budget_money,
            prices={} if prices is None else read_prices(prices),
            width=width,
            concurrency=concurrency,
            temperature=temperature,
            max_tokens=max_tokens,
            device=device,
            dtype=dtype,
            seed=seed,
            reward_model=reward_model,
            verifier=verifier,
            prompts=prompts,
        )
        config = fit_pair(config, [item.problem for item in items])
    job = _Job(config=config, items=items, shard=part, out=out, resume=resume, processes=processes, ray=ray)
    if report:
        collect_shard(config, items, hear=print_line, create=out, resume=resume, shard=part)
        return 0
    return _follow(job, as_json=as_json)


def _part(shard: str | None, processes: int | None, ray: str | None) -> Shard:
    """Return which problems this process takes.

    Raises:
        InputError: the options contradict each other.
    """
    if processes is not None and processes < 1:
        raise InputError(f"--processes must be at least 1, not {processes}")
    if shard is not None and (processes is not None or ray is not None):
        raise InputError(
            "--shard is for one process of several that you start yourself: leave out --processes and --ray"
        )
    return WHOLE if shard is None else parse_shard(shard)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is to be collected, and where."""

    config: RunConfig
    items: Sequence[Item]
    shard: Shard
    out: Path | None
    resume: Path | None
    processes: int | None
    ray: str | None

    @property
    def folder(self) -> Path:
        """The run folder."""
        folder = self.out or self.resume
        assert folder is not None  # one of them is given
        return folder


def _follow(job: _Job, *, as_json: bool) -> int:
    """Collect, show progress, and print what came of it; returns the exit code."""
    mine = sum(job.shard.holds(item.problem.id) for item in job.items)
    interrupted = False
    with Tally(problems=mine) as tally:
        try:
            _work(job, tally.hear)
        except KeyboardInterrupt:
            interrupted = True
    report = tally.report(job.folder)
    if as_json:
        sys.stdout.write(f"{report.model_dump_json()}\n")
    else:
        right = "" if report.accuracy is None else f", {report.right} right; {report.accuracy:.1%} of the answers right"
        sys.stdout.write(
            f"{report.done} of {mine} problems, {report.attempts} attempts{right}, {report.tokens} tokens\n"
        )
    if interrupted:
        sys.stderr.write(f"interrupted; go on with: actorcritic collect --resume {job.folder}\n")
        return 130
    return 1 if report.failed or report.done < mine else 0


def _work(job: _Job, hear: Hear) -> None:
    """Collect in this process, in several, or on a cluster."""
    if job.ray is None and job.processes in (None, 1):
        collect_shard(job.config, job.items, hear=hear, create=job.out, resume=job.resume, shard=job.shard)
        return
    job.config.check(job.config.settings(), [item.problem for item in job.items])
    if job.resume is None:
        Run.create(job.folder, job.config, [(item.problem, item.reference) for item in job.items])
    once = pass_on_once(hear)
    go_on = f"go on with --resume {job.folder}"

    def read(line: str) -> None:
        once(Collected.model_validate_json(line))

    if job.ray is not None:
        run_on_cluster(partial(collect_part, job.folder.resolve()), job.ray, job.processes, read, go_on=go_on)
    else:
        run_processes(("collect", "--resume", str(job.folder)), job.processes or 1, read, go_on=go_on)


def _gather(problems: Path | None, task: str | None, split: str | None, limit: int | None) -> Sequence[Item]:
    """Return the problems that were asked for.

    Raises:
        InputError: there are none, or one cannot be read.
    """
    if (problems is None) == (task is None):
        raise InputError(f"give --problems, a file, or --task, one of {', '.join(TASK_NAMES)}")
    if problems is not None:
        if split is not None:
            raise InputError("--split is for tasks: a problem file is taken as it is")
        return read_items(None, problems, limit)
    assert task is not None
    if split is not None and split not in SPLITS:
        raise InputError(f"--split must be one of {', '.join(SPLITS)}, not {split!r}")
    drawn = draw_problems(task, SPLITS[split or "train"], PROBLEMS if limit is None else limit)
    return [Item(problem=problem, reference=Reference()) for problem in drawn]


def _with_samples(strategy: str, samples: int | None) -> str:
    """Return a strategy with its own count set.

    Raises:
        InputError: it has none, or it stands in the strategy already.
    """
    spec = parse_strategy(strategy)
    count = STRATEGIES[spec.name].COUNT
    if samples is None:
        return str(spec)
    if count is None:
        raise InputError(f"the strategy {spec.name} has no count of its own: leave out --samples")
    if count in spec.options:
        raise InputError(f"--samples and the option {count} of {spec} say the same: give one of them")
    return str(parse_strategy(f"{spec}{',' if spec.options else ':'}{count}={samples}"))
