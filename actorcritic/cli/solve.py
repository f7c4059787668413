"""`actorcritic solve`: answers problems with any strategy, shows the critique at work, keeps what was paid for."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from actorcritic.cli.display import Judged, Transcript, print_summary
from actorcritic.cli.notes import say_notes
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
    refuse_others,
)
from actorcritic.cli.progress import Progress
from actorcritic.cli.runs import Run, RunConfig, fit_pair
from actorcritic.engines.prices import read_prices
from actorcritic.errors import InputError
from actorcritic.graphs.journals import TeeJournal
from actorcritic.graphs.results import record_of
from actorcritic.graphs.session import ProblemResult, Session
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.graphs.tree_search import solve_all
from actorcritic.graphs.trial import Attempt
from actorcritic.loading import Roles
from actorcritic.records import problem_of, read_problems
from actorcritic.tasks.checkers import checker_of, verify
from actorcritic.tasks.sources import TASK_NAMES, draw_problems
from actorcritic.types import Problem, Reference

__all__ = ["Item", "check_budget", "collect", "prepare", "solve"]

OF_A_TASK = 10
"""How many problems of a task, unless --limit says otherwise."""


RESUMED = frozenset({"resume", "as_json"})
"""What still says something where a run is gone on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A problem, its gold side, and what is shown of it."""

    problem: Problem
    reference: Reference
    transcript: Transcript = field(default_factory=Transcript)


def solve(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    problem: Annotated[str | None, typer.Argument(help="One problem as text; or give --problems.")] = None,
    problems: Annotated[Path | None, typer.Option(help="JSON lines: id, problem, answer, checker, meta.")] = None,
    task: Annotated[str | None, typer.Option(help=f"Test problems of one of: {', '.join(TASK_NAMES)}.")] = None,
    strategy: Annotated[
        str, typer.Option(help="NAME or NAME:option=value,...; an unknown one prints the list.")
    ] = "revise",
    actor: Annotated[str, typer.Option(help=ACTOR_HELP)] = "embedded",
    critic: Annotated[str | None, typer.Option(help=CRITIC_HELP, show_default="the actor's")] = None,
    reward_model: RewardModel = None,
    verifier: Verifier = None,
    budget_tokens: BudgetTokens = None,
    budget_calls: BudgetCalls = None,
    budget_seconds: BudgetSeconds = None,
    budget_money: BudgetMoney = None,
    prices: Prices = None,
    width: Annotated[int, typer.Option(help="Trials in flight per problem; 1 spends the fewest tokens.")] = 1,
    concurrency: Annotated[int, typer.Option(help="Problems in flight.")] = 64,
    temperature: Temperature = 1.0,
    max_tokens: MaxTokens = 1024,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    limit: Annotated[
        int | None, typer.Option(help="Only the first so many problems.", show_default=f"all; {OF_A_TASK} of a task")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New run folder for the log of every event.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Run folder to go on with, under its own options; pays for nothing twice.")
    ] = None,
    prompts: KeepPrompts = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per problem on stdout, nothing else.")
    ] = False,
) -> int:
    """Answer problems: propose, critique every step, revise from the first wrong one, return the best."""
    if resume is not None:
        refuse_others(context, "--resume", RESUMED, FROM_THE_RUN)
        config, items = _take_up(resume)
    else:
        config = RunConfig(
            strategy=strategy,
            actor=actor,
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
        if not prompts and out is None:
            raise InputError("--no-prompts says what a run folder keeps: give --out too")
        items = collect(problem, problems, limit, task)
        config = fit_pair(config, [item.problem for item in items])
    return _begin(config, items, out, resume, as_json=as_json)


def _begin(config: RunConfig, items: Sequence[Item], out: Path | None, resume: Path | None, *, as_json: bool) -> int:
    """Check everything that can be checked, load the models, open the run folder, and solve.

    Raises:
        InputError: something cannot work; nothing has been written or spent.
    """
    roles, settings = prepare(config, items)
    pairs = [(item.problem, item.reference) for item in items]
    origin = config.provenance(roles)
    with Run.open(config, pairs, provenance=origin, create=out, resume=resume) as run:
        try:
            return asyncio.run(_work(items, roles, settings, run, concurrency=config.concurrency, as_json=as_json))
        except KeyboardInterrupt:
            if run.folder is not None and config.prompts:
                sys.stderr.write(f"interrupted; go on with: actorcritic solve --resume {run.folder}\n")
            raise


def prepare(config: RunConfig, items: Sequence[Item]) -> tuple[Roles, SearchSettings]:
    """Check everything that can be checked, load the models, and return them with how they are to search.

    Raises:
        InputError: something cannot work; nothing has been written or spent.
    """
    problems = [item.problem for item in items]
    settings = config.settings()
    config.check(settings, problems)
    config.check_used(settings)
    roles = config.load()
    pairs = [(item.problem, item.reference) for item in items]
    settings = replace(
        settings,
        exact=roles.exact,
        trial_tokens=roles.trial_tokens(problems),
        scorers=config.scorers(roles, pairs),
        prices=config.prices_of(roles),
    )
    check_roles(settings.strategy, roles.critic, scorers=settings.scorers)
    check_budget(roles, settings, items)
    return roles, settings


def collect(problem: str | None, problems: Path | None, limit: int | None, task: str | None = None) -> Sequence[Item]:
    """Return the problems that were asked for, every one of them read and known to be readable.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    if [problem, problems, task].count(None) != 2:
        raise InputError("give one problem as text, or a file with --problems, or --task")
    if limit is not None and limit < 1:
        raise InputError(f"--limit must be at least 1, not {limit}")
    if task is not None:
        drawn = draw_problems(task, "test", OF_A_TASK if limit is None else limit)
        pairs = [(each, Reference()) for each in drawn]
    elif problem is not None:
        pairs = [(problem_of(problem), Reference())]
    else:
        assert problems is not None
        # The whole file is read, so that a bad line is refused wherever it stands.
        pairs = [record.split() for record in islice(list(read_problems(problems)), limit)]
    if not pairs:
        raise InputError(f"there is no problem in {problems}")
    return [Item(problem=replace(named, checker=checker_of(named)), reference=gold) for named, gold in pairs]


def _take_up(folder: Path) -> tuple[RunConfig, Sequence[Item]]:
    """Return the options and problems of an earlier run."""
    config, pairs = Run.read(folder)
    return config, [Item(problem=problem, reference=reference) for problem, reference in pairs]


def check_budget(roles: Roles, settings: SearchSettings, items: Sequence[Item]) -> None:
    """Refuse a token budget that cannot pay for one step of some problem.

    Raises:
        InputError: names the problem and what its prompt alone takes.
    """
    tokens = settings.budget.tokens
    if tokens is None:
        return
    for item in items:
        needed = roles.prompt_tokens(item.problem)
        if tokens <= needed:
            raise InputError(
                f"a budget of {tokens} tokens is too small for one step: the prompt of problem {item.problem.id!r} "
                f"alone takes {needed}"
            )


async def _work(
    items: Sequence[Item], roles: Roles, settings: SearchSettings, run: Run, *, concurrency: int, as_json: bool
) -> int:
    """Solve all problems, print each as it is due, and return the exit code; cancelled, print the best so far first."""
    printer = _Printer(items, settings, roles, run.folder, as_json=as_json)
    started, stop = time.monotonic(), asyncio.Event()
    solving = asyncio.create_task(_solve(items, roles, settings, run, concurrency, printer=printer, stop=stop))
    try:
        await asyncio.shield(solving)
    except asyncio.CancelledError:
        stop.set()
        try:
            await solving
        finally:
            run.interrupted()
        raise
    finally:
        await roles.aclose()
        printer.close(time.monotonic() - started)
        say_notes(roles.engines, sum(judged.result.spend.money for judged in printer.results))
    return 1 if any(judged.result.stopped_by == "failed" for judged in printer.results) else 0


async def _solve(
    items: Sequence[Item],
    roles: Roles,
    settings: SearchSettings,
    run: Run,
    concurrency: int,
    *,
    printer: _Printer,
    stop: asyncio.Event,
) -> None:
    """Solve all problems; what is stopped stays at work in the run, and is printed where there is a best so far."""
    by_id = {item.problem.id: item for item in items}
    finished: list[ProblemResult] = []

    def sessions() -> Iterator[Session]:
        for item in items:
            opened = run.session(item.problem, settings)
            if isinstance(opened, ProblemResult):
                finished.append(opened)
                continue
            opened.journal = TeeJournal((opened.journal, item.transcript))
            yield opened

    with Progress(len(items), quiet=len(items) == 1) as progress:

        async def take(result: ProblemResult) -> None:
            judged = await _judge(by_id[result.problem.id], result)
            if result.stopped_by != "interrupted":
                run.done(result.problem.id)
                progress.advance(result.spend.total.logical_tokens, judged.after)
            if result.stopped_by != "interrupted" or result.attempt is not None:
                printer.add(judged)

        searching = solve_all(sessions(), roles.actor, roles.critic, settings, concurrency=concurrency, stop=stop)
        async for result in searching:
            await take(result)
        for result in finished:
            await take(result)


async def _judge(item: Item, result: ProblemResult) -> Judged:
    """Compare a result with the gold side, which nothing in the run has seen."""

    async def correct(attempt: Attempt | None) -> bool | None:
        return await verify(item.problem, None if attempt is None else attempt.solution, item.reference)

    return Judged(result=result, before=await correct(result.first), after=await correct(result.attempt))


class _Printer:
    """Prints results in the order of the problems, each as soon as those before it are printed."""

    def __init__(
        self, items: Sequence[Item], settings: SearchSettings, roles: Roles, run: Path | None, *, as_json: bool
    ) -> None:
        self._waiting: dict[str, Judged] = {}
        self._items = list(items)
        self._next = 0
        self._facts = settings.facts(roles.critic, None if run is None else str(run))
        self._json = as_json
        self._console = Console(highlight=False)
        self.results: list[Judged] = []

    def add(self, judged: Judged) -> None:
        """Take one more result."""
        self.results.append(judged)
        self._waiting[judged.result.problem.id] = judged
        while self._next < len(self._items) and self._items[self._next].problem.id in self._waiting:
            item = self._items[self._next]
            self._print(item, self._waiting.pop(item.problem.id))
            self._next += 1

    def _print(self, item: Item, judged: Judged) -> None:
        if self._json:
            record = record_of(judged.result, self._facts, correct=judged.after)
            sys.stdout.write(f"{record.model_dump_json()}\n")
            sys.stdout.flush()
        else:
            item.transcript.print(self._console, judged)

    def close(self, seconds: float) -> None:
        """Print what waits behind a problem that never ended, and the table."""
        for item in self._items[self._next :]:
            judged = self._waiting.pop(item.problem.id, None)
            if judged is not None:
                self._print(item, judged)
        if not self._json and self.results:
            print_summary(self._console, self.results, seconds)
