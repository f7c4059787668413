"""`actorcritic critic-eval`: what a critic is worth, open loop and closed loop, on attempts of an actor.

One attempt per problem, one greedy critique of each, and one revision of what is called wrong. A measurement that broke
off goes on with --resume.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actorcritic.cli.improve_runs import REFINE, Casting, add_critiques, add_refinements, added_tokens, sample
from actorcritic.cli.options import ACTOR_HELP, FROM_THE_RUN, refuse_others
from actorcritic.cli.runs import Run, fit_pair
from actorcritic.cli.solve import Item
from actorcritic.cli.solve import collect as read_items
from actorcritic.critic_report import CriticFacts, CriticReport, CriticRow, Figure, named_step, summarize
from actorcritic.errors import InputError
from actorcritic.export.critics import Refined
from actorcritic.export.reading import collected, judgements
from actorcritic.metrics import UNPARSED
from actorcritic.tasks.checkers import checker_of, label
from actorcritic.tasks.heldout import Split
from actorcritic.tasks.labels import first_wrong
from actorcritic.tasks.sources import TASK_NAMES, draw_problems
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.recorder import RUN
from actorcritic.types import Reference, Verdict

__all__ = ["EvalConfig", "critic_eval", "read_critic_rows"]

OPTIONS, ROWS, REPORT = "critic-eval.json", "rows.jsonl", "report.json"
LIMIT = 500
SPLITS: dict[str, Split] = {"test": "test", "dev": "dev"}


class EvalConfig(BaseModel):
    """The options of a measurement, as its folder keeps them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str | None
    problems: str | None
    split: str
    limit: int | None
    actor: str
    critic: str
    temperature: float
    concurrency: int
    seed: int
    device: str
    dtype: str

    @property
    def casting(self) -> Casting:
        """Who plays."""
        return Casting(
            actor=self.actor,
            critic=self.critic,
            temperature=self.temperature,
            concurrency=self.concurrency,
            seed=self.seed,
            device=self.device,
            dtype=self.dtype,
        )

    def items(self) -> Sequence[Item]:
        """Return the problems.

        Raises:
            InputError: there is none, or one cannot be read.
        """
        if self.problems is not None:
            return read_items(None, Path(self.problems), self.limit)
        count = LIMIT if self.limit is None else self.limit
        drawn = draw_problems(self.task or "", SPLITS[self.split], count)
        return [Item(problem=replace(each, checker=checker_of(each)), reference=Reference()) for each in drawn]


def critic_eval(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    task: Annotated[str | None, typer.Option(help=f"Held-out problems of one of: {', '.join(TASK_NAMES)}.")] = None,
    problems: Annotated[Path | None, typer.Option(help="JSON lines with gold answers; instead of --task.")] = None,
    split: Annotated[str, typer.Option(help="test, or dev for choices; of a task.")] = "test",
    limit: Annotated[
        int | None, typer.Option(help="Number of problems.", show_default=f"{LIMIT} of a task, all of a file")
    ] = None,
    actor: Annotated[str, typer.Option(help=f"Whose attempts are judged: {ACTOR_HELP}")] = "embedded",
    critic: Annotated[
        str | None, typer.Option(help="As --actor; or calculate, execution.", show_default="the actor's")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of the actor; 0 = greedy.")] = 1.0,
    concurrency: Annotated[int, typer.Option(help="Problems in flight.")] = 256,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="New folder for the run, rows.jsonl and report.json.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder to go on with, under its own options; pays for nothing twice.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> int:
    """Measure a critic: how exactly it finds the first wrong step, and what a revision with its critique changes."""
    if resume is not None:
        refuse_others(context, "--resume", {"resume", "as_json"}, FROM_THE_RUN)
        return _work(resume, _read_options(resume), as_json=as_json)
    if out is None:
        raise InputError("give --out, a new folder for the measurement, or --resume, one to go on with")
    if (task is None) == (problems is None):
        raise InputError("name a task with --task, or give a file with --problems")
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}: use one of {', '.join(SPLITS)}")
    if critic is not None and critic in ("oracle", "none"):
        raise InputError(f"{critic} is no critic to measure: give a model, calculate or execution")
    config = EvalConfig(
        task=task,
        problems=None if problems is None else str(problems.resolve()),
        split=split,
        limit=limit,
        actor=actor,
        critic=critic or actor,
        temperature=temperature,
        concurrency=concurrency,
        seed=seed,
        device=device,
        dtype=dtype,
    )
    config = fit_pair(config, [item.problem for item in config.items()])
    _begin(out, config)
    return _work(out, config, as_json=as_json)


def read_critic_rows(folder: Path) -> list[CriticRow]:
    """Return what a measurement found of each problem.

    Raises:
        InputError: the folder holds none that is done.
    """
    try:
        lines = (folder / ROWS).read_text(encoding="utf-8").splitlines()
        return [CriticRow.model_validate_json(line) for line in lines]
    except (OSError, ValidationError) as error:
        raise InputError(f"{folder} holds no measurement of a critic that is done") from error


def _begin(folder: Path, config: EvalConfig) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder: choose a new one, or go on with --resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OPTIONS).write_text(config.model_dump_json(indent=2), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from error


def _read_options(folder: Path) -> EvalConfig:
    try:
        return EvalConfig.model_validate_json((folder / OPTIONS).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise InputError(f"{folder} holds no measurement of a critic: begin one with --out") from error


def _work(folder: Path, config: EvalConfig, *, as_json: bool) -> int:
    """Do what is not done, write the report and print it."""
    run, casting = folder / "run", config.casting
    if not (folder / REPORT).exists():
        items = _items_of(run) if (run / RUN).exists() else config.items()
        sample(run, casting, items, 1)
        add_critiques(run, casting, "all")
        add_refinements(run, casting, "all")
        rows = [_row(episode, attempt) for episode in read_episodes(run) for attempt in episode.attempts[:1]]
        facts = config.model_dump(include={"actor", "critic", "seed", "temperature"})
        named = config.task or cast("str", config.problems)
        split = None if config.task is None else config.split
        report = summarize(rows, CriticFacts(task=named, split=split, **facts))
        (folder / ROWS).write_text("".join(f"{row.model_dump_json()}\n" for row in rows), encoding="utf-8")
        (folder / REPORT).write_text(report.model_dump_json(indent=2), encoding="utf-8")
    report = CriticReport.model_validate_json((folder / REPORT).read_text(encoding="utf-8"))
    if as_json:
        sys.stdout.write(f"{report.model_dump_json()}\n")
    else:
        _print(report)
    return 0


def _items_of(run: Path) -> Sequence[Item]:
    _, pairs = Run.read(run)
    return [Item(problem=problem, reference=reference) for problem, reference in pairs]


def _row(episode: Episode, attempt: EpisodeAttempt) -> CriticRow:
    """Return what is known of one problem's attempt."""
    said = next(judgements(episode, attempt), None)
    revised = [
        made.refinements[0].correct is True
        for trial, made in collected(episode, REFINE, Refined)
        if trial == attempt.id and made.refinements
    ]
    right = attempt.correct is True
    labels = label(episode.problem, attempt.solution) if attempt.solution is not None else None
    wrong = None if labels is None else first_wrong(labels)
    return CriticRow(
        problem=episode.problem.id,
        finished=said is not None,
        right=right,
        error=len(labels) if labels is not None and wrong is None and not right else wrong,
        labelled=labels is not None,
        verdict=Verdict.UNSCORED if said is None else said.critique.verdict,
        named=UNPARSED if said is None else named_step(said.critique),
        score=None if said is None else said.critique.score,
        right_after=revised[0] if revised else right,
        actor_tokens=episode.spend.total.logical_tokens,
        critic_tokens=sum(added_tokens(episode).values()),
    )


NAMES = {
    "f1": "ProcessBench F1",
    "acc_err": "  first wrong step named",
    "acc_cor": "  right called right",
    "auroc": "AUROC of the score",
    "discriminability": "verdict agrees",
    "before": "accuracy before",
    "after": "accuracy after one revision",
    "gain": "  gain, paired",
    "helpfulness": "  of the wrong, mended",
    "harm": "  of the right, broken",
}


def _print(report: CriticReport) -> None:
    split = f" ({report.split})" if report.split else ""
    title = f"{report.task}{split}: {report.critic} on attempts of {report.actor}, 95% intervals"
    table = Table(title=Text(title), title_justify="left")  # a folder's name may look like markup
    table.add_column("figure", no_wrap=True)
    for name in ("value", "interval", "problems"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, words in NAMES.items():
        table.add_row(words, *_cells(getattr(report, name)))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(
        f"{report.unfinished} attempts unfinished, {report.unscored} critiques unscored; tokens per problem: "
        f"{report.actor_tokens:.1f} attempt, {report.critic_tokens:.1f} critique and revision",
        markup=False,
    )


def _cells(figure: Figure) -> tuple[str, str, str]:
    if figure.value is None:
        return "–", "–", str(figure.count)
    return f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}", str(figure.count)
