"""`actorcritic explore`: searches problems that an environment sets, and shows the best episode of each."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from actorcritic.cli.display import printable
from actorcritic.cli.exploring import SCRIPTED, SHORT, ExploreConfig, Players, read_config
from actorcritic.cli.notes import say_torn
from actorcritic.cli.options import FROM_THE_RUN, refuse_others
from actorcritic.cli.progress import Progress
from actorcritic.environments.named import ENVIRONMENT_NAMES, NamedEnvironment, environment_named
from actorcritic.errors import InputError, RecordError
from actorcritic.graphs.environment_runs import search_environments
from actorcritic.graphs.results import RunFacts, record_of
from actorcritic.graphs.session import ProblemResult
from actorcritic.graphs.settings import SearchSettings
from actorcritic.tasks.environment import episode_return, solved
from actorcritic.tasks.heldout import Split
from actorcritic.trajectory.reader import read_problems
from actorcritic.types import Problem

__all__ = ["explore"]

RESUMED = frozenset({"resume", "concurrency", "as_json"})
"""Options beside `--resume`."""
SHOWN = 90
"""Characters of what the environment showed, in a line."""
SPLITS: dict[str, Split] = {"train": "train", "dev": "dev", "test": "test"}
PLAYER_HELP = f"{SCRIPTED}: the environment's own double; or hf:PATH_OR_ID, vllm:PATH_OR_ID, openai:MODEL@URL."
STRATEGY_HELP = f"{', '.join(SHORT)}, or any as in solve; with score=verifier it goes by the environment's reward."


def explore(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    environment: Annotated[
        str, typer.Option(help=f"{', '.join(ENVIRONMENT_NAMES)} (extra: textworld).", show_default=False)
    ] = "",
    split: Annotated[str, typer.Option(help="train, dev or test: which side of the held-out rule.")] = "test",
    limit: Annotated[int, typer.Option(help="Number of problems.")] = 5,
    strategy: Annotated[str, typer.Option(help=STRATEGY_HELP)] = "agent-q",
    actor: Annotated[str, typer.Option(help=PLAYER_HELP)] = SCRIPTED,
    critic: Annotated[str | None, typer.Option(help="As --actor; or none.", show_default="as --actor")] = None,
    budget_steps: Annotated[int | None, typer.Option(help="Environment steps per problem.")] = 200,
    budget_tokens: Annotated[
        int | None, typer.Option(help="Logical tokens per problem, critic included.", show_default="none")
    ] = None,
    width: Annotated[int, typer.Option(help="Trials in flight per problem, each in a world of its own.")] = 1,
    concurrency: Annotated[int, typer.Option(help="Problems in flight.")] = 16,
    temperature: Annotated[float, typer.Option(help="Of the actor; 0 = greedy.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Completion tokens of one action at most.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    out: Annotated[Path | None, typer.Option(help="New run folder, for export and collect --from.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Run folder to go on with, under its own options; pays for nothing twice.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per problem on stdout, nothing else.")
    ] = False,
) -> int:
    """Search an environment: several actions from one state, ranked, expanded, backed up; show the best episodes."""
    if resume is not None:
        refuse_others(context, "--resume", RESUMED, FROM_THE_RUN)
        config, place, problems = _take_up(resume)
    else:
        config = ExploreConfig(
            environment=environment,
            actor=actor,
            critic=critic,
            strategy=strategy,
            budget_steps=budget_steps,
            budget_tokens=budget_tokens,
            width=width,
            temperature=temperature,
            max_tokens=max_tokens,
            device=device,
            dtype=dtype,
            seed=seed,
        )
        if out is not None and (out / "run.json").exists():
            raise InputError(f"{out} holds a run already: go on with it by --resume, or choose another folder")
        place = environment_named(environment)
        problems = asyncio.run(place.draw(_split(split), _count(limit)))
    return _search(config, place, problems, resume or out, concurrency, as_json=as_json)


def _search(
    config: ExploreConfig,
    place: NamedEnvironment,
    problems: Sequence[Problem],
    kept: Path | None,
    concurrency: int,
    *,
    as_json: bool,
) -> int:
    """Search the problems in a folder that is kept, or in one that is not."""
    settings = config.settings(place)
    with ExitStack() as stack:
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
        job = _Job(config=config, folder=folder, kept=kept is not None, as_json=as_json)
        players = config.load(place)
        try:
            return asyncio.run(_work(job, problems, players, players.fit(settings), concurrency))
        except KeyboardInterrupt:
            if job.kept:
                sys.stderr.write(f"interrupted; go on with: actorcritic explore --resume {folder}\n")
            raise


def _split(name: str) -> Split:
    if name not in SPLITS:
        raise InputError(f"unknown split {name!r}; choose from: {', '.join(SPLITS)}")
    return SPLITS[name]


def _count(limit: int) -> int:
    if limit < 1:
        raise InputError(f"--limit must be at least 1, not {limit}")
    return limit


def _take_up(folder: Path) -> tuple[ExploreConfig, NamedEnvironment, list[Problem]]:
    """Return the options, the environment and the problems of an earlier run.

    Raises:
        InputError: it is no exploration, or none that this version can go on with.
    """
    try:
        found = read_config(folder)
        if found is None:
            raise InputError(f"{folder} is no run of explore")
        say_torn(folder)
        return *found, [problem for problem, _ in read_problems(folder)]
    except RecordError as error:
        raise InputError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Where an exploration goes."""

    config: ExploreConfig
    folder: Path
    kept: bool
    """Whether the folder outlives the command."""
    as_json: bool


async def _work(
    job: _Job, problems: Sequence[Problem], players: Players, settings: SearchSettings, concurrency: int
) -> int:
    """Search all problems, print each as it is due, and return the exit code."""
    facts = settings.facts(players.critic, str(job.folder) if job.kept else None)
    found: dict[str, ProblemResult] = {}
    due = iter(problems)
    following = next(due, None)
    started = time.monotonic()
    try:
        with Progress(len(problems), quiet=len(problems) == 1, what="exploring") as progress:
            async for result in search_environments(
                job.folder,
                problems,
                players.actor,
                players.critic,
                settings,
                concurrency=concurrency,
                options=job.config.model_dump(mode="json"),
            ):
                found[result.problem.id] = result
                progress.advance(result.spend.total.logical_tokens, _solved(result))
                while following is not None and following.id in found:
                    _print(found[following.id], facts, as_json=job.as_json)
                    following = next(due, None)
    finally:
        await players.aclose()
    if not job.as_json:
        _print_summary(list(found.values()), facts, time.monotonic() - started)
    return 1 if any(result.stopped_by == "failed" for result in found.values()) else 0


def _solved(result: ProblemResult) -> bool | None:
    return False if result.attempt is None else solved(result.attempt.solution)


def _earned(result: ProblemResult) -> float:
    return 0.0 if result.attempt is None else episode_return(result.attempt.solution) or 0.0


def _steps(result: ProblemResult) -> int:
    return 0 if result.spend.steps is None else result.spend.steps.taken


def _print(result: ProblemResult, facts: RunFacts, *, as_json: bool) -> None:
    """Print the best episode of a problem: what was done, what it earned, what was shown."""
    if as_json:
        sys.stdout.write(f"{record_of(result, facts, correct=_solved(result)).model_dump_json()}\n")
        sys.stdout.flush()
        return
    console = Console(highlight=False)
    console.print(Text(printable(result.problem.id), style="bold"))
    acted = () if result.attempt is None else [s for s in result.attempt.solution.steps if s.observation is not None]
    for number, step in enumerate(acted, start=1):
        assert step.observation is not None  # chosen so
        shown = " ".join(step.observation.text.split())
        line = Text(f"  {number:>3}  {step.observation.reward or 0.0:+.2f}  {printable(step.text)}")
        line.append(f"  {printable(shown[:SHOWN])}{'...' if len(shown) > SHOWN else ''}", style="dim")
        console.print(line, soft_wrap=True)
    for failure in result.failures:
        console.print(Text(f"  {failure.where} failed: {printable(failure.message)}", style="red"))
    tokens = result.spend.total.logical_tokens
    said = f"{result.stopped_by}, {result.attempts} attempts, {_steps(result)} steps, {tokens} tokens"
    console.print(Text(f"  earned {_earned(result):.2f} of 1  ({said})\n"))


def _print_summary(results: Sequence[ProblemResult], facts: RunFacts, seconds: float) -> None:
    """Print what all problems came to."""
    if not results:
        return
    oracle = "; an oracle run: the search went by the task's own checker" if facts.oracle else ""
    sys.stdout.write(
        f"{len(results)} problems: mean return {fmean(map(_earned, results)):.3f}, "
        f"{sum(map(bool, map(_solved, results)))} solved, {sum(map(_steps, results))} steps, "
        f"{sum(result.spend.total.logical_tokens for result in results)} tokens, {seconds:.1f} seconds{oracle}\n"
    )
