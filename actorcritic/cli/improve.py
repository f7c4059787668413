"""`actorcritic improve`: collect, export, train and evaluate, again and again, and whether it helped.

A run that broke off, in whatever stage, goes on with --resume.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from actorcritic.cli.bench_options import numbers
from actorcritic.cli.improve_folder import ImproveConfig, ImproveFolder
from actorcritic.cli.improve_report import draw_rounds, print_report
from actorcritic.cli.improve_stages import Data, Difficulty, Explored, Stages, Trained, training
from actorcritic.cli.options import refuse_others
from actorcritic.cli.runs import fit_pair
from actorcritic.cli.train import stopping
from actorcritic.errors import ActorCriticError, InputError
from actorcritic.loading import MODEL_FREE_CRITICS, PACKAGED
from actorcritic.tasks.heldout import Split
from actorcritic.tasks.sources import TASK_NAMES, draw_problems
from actorcritic.training.bases import ROLES, find_base
from actorcritic.training.improve.outcomes import Measured, quintiles
from actorcritic.training.improve.plan import BASE, METHODS, Stage, parse_methods, predecessor
from actorcritic.training.improve.report import Cost, ImproveReport, Round, summarize
from actorcritic.training.run import resume as go_on
from actorcritic.training.run import train as begin
from actorcritic.training.settings import TrainReport, TrainSettings

__all__ = ["improve"]

EPOCHS, LEARNING_RATE, BATCH_SIZE = 3.0, 3e-4, 32
"""Of the embedded pair, whose weights take far larger steps than those of the models that the presets are for."""

RESUMED = frozenset({"resume", "as_json"})
"""Options beside `--resume`."""

METHODS_HELP = f"Of: {'; '.join(f'{name} ({said})' for name, said in METHODS.items())}."


def improve(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    task: Annotated[str, typer.Option(help=f"{', '.join(TASK_NAMES)}.", show_default=False)] = "",
    rounds: Annotated[int, typer.Option(help="Of exploring and training.")] = 3,
    methods: Annotated[str, typer.Option(help=METHODS_HELP)] = "sft,vanilla,critique",
    train_limit: Annotated[int, typer.Option(help="Training problems.")] = 2000,
    eval_limit: Annotated[int, typer.Option(help="Held-out test problems, on which every row is measured.")] = 1000,
    dev_limit: Annotated[
        int, typer.Option(help="Held-out development problems, by which a round is promoted or not.")
    ] = 300,
    samples: Annotated[int, typer.Option(help="Solutions per training problem and round.")] = 5,
    difficulty_samples: Annotated[
        int, typer.Option(help="Solutions of the base per test problem, by which it is hard or easy.")
    ] = 16,
    refinement_weight: Annotated[
        float, typer.Option(help="How often the base's own refinements, critique included, stand among the rows.")
    ] = 1.0,
    actor: Annotated[str, typer.Option(help="The base: embedded, embedded:FOLDER or hf:PATH_OR_ID.")] = "embedded",
    critic: Annotated[str | None, typer.Option(help="As --actor.", show_default="the actor's")] = None,
    temperature: Annotated[float, typer.Option(help="Of samples; greedy answers are greedy.")] = 1.0,
    concurrency: Annotated[int, typer.Option(help="Problems in flight.")] = 256,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the rows.", show_default=f"{EPOCHS:g}, or the recipe's")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest of its schedule.", show_default=f"{LEARNING_RATE:g}, or the recipe's")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows per optimizer step.", show_default=f"{BATCH_SIZE}, or the recipe's")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    seeds: Annotated[
        str | None,
        typer.Option(help="The last round is done once with each; the first is --seed.", show_default="--seed"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="New folder for everything, report.json and improve.png.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder to go on with, under its own options; does no finished stage again.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> int:
    """Improve a model on its own solutions: explore training problems, train from the base, measure held-out ones."""
    if resume is not None:
        refuse_others(context, "--resume", RESUMED, "takes the task and all options from the folder")
        with ImproveFolder(resume) as folder:
            return _work(folder, as_json=as_json)
    if out is None:
        raise InputError("give --out, a new folder for the run, or --resume, one to go on with")
    pair = actor.partition(":")[0] == "embedded"
    config = ImproveConfig(
        task=task,
        rounds=rounds,
        methods=list(parse_methods(methods)),
        seeds=[seed] if seeds is None else numbers(seeds, "--seeds", low=0),
        train_limit=train_limit,
        eval_limit=eval_limit,
        dev_limit=dev_limit,
        samples=samples,
        difficulty_samples=difficulty_samples,
        refinement_weight=refinement_weight,
        actor=_from_anywhere(actor),
        critic=_from_anywhere(critic or actor),
        temperature=temperature,
        concurrency=concurrency,
        epochs=EPOCHS if epochs is None and pair else epochs,
        learning_rate=LEARNING_RATE if learning_rate is None and pair else learning_rate,
        batch_size=BATCH_SIZE if batch_size is None and pair else batch_size,
        device=device,
        dtype=dtype,
    )
    with ImproveFolder.create(out, _checked(config)) as folder:
        try:
            return _work(folder, as_json=as_json)
        except ActorCriticError:
            folder.give_back()
            raise


def _from_anywhere(spec: str) -> str:
    """Return a model spec that names the same folder wherever the run is gone on with."""
    scheme, _, place = spec.partition(":")
    if place and spec not in PACKAGED and (scheme == "embedded" or Path(place).is_dir()):
        return f"{scheme}:{Path(place).absolute()}"
    return spec


def _checked(config: ImproveConfig) -> ImproveConfig:
    """Return the options, with the pair made precise; what cannot work is refused before anything is written or spent.

    Raises:
        InputError: one line that says what to give instead.
    """
    _check_numbers(config)
    for spec in (config.actor, config.critic):
        if spec.partition(":")[0] not in ("embedded", "hf"):
            rule = (
                "a critic that is no model cannot take part" if spec in MODEL_FREE_CRITICS else "it cannot be trained"
            )
            raise InputError(f"{spec}: {rule}; give embedded, embedded:FOLDER or hf:PATH_OR_ID")
    if find_spec("trl") is None:
        raise InputError("improve trains with TRL: pip install 'actorcritic[train]'")
    splits: dict[Split, int] = {"dev": config.dev_limit, "test": config.eval_limit, "train": config.train_limit}
    drawn = [problem for split, count in splits.items() for problem in draw_problems(config.task, split, count)]
    fitted = fit_pair(config, drawn)
    for role in ROLES:
        if (role == "critic") in {method == "critic" for method in config.methods}:
            find_base(training(fitted, role, data=Path(), out=Path(), seed=0).model)
    return fitted


def _check_numbers(config: ImproveConfig) -> None:
    """Refuse what is out of its range, the options of training too.

    Raises:
        InputError: one line that says what to give instead.
    """
    if not config.task:
        raise InputError(f"name a task with --task: {', '.join(TASK_NAMES)}")
    counts = {
        "--rounds": config.rounds,
        "--train-limit": config.train_limit,
        "--eval-limit": config.eval_limit,
        "--dev-limit": config.dev_limit,
        "--samples": config.samples,
        "--difficulty-samples": config.difficulty_samples,
        "--concurrency": config.concurrency,
    }
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    for name, amount in (("--refinement-weight", config.refinement_weight), ("--temperature", config.temperature)):
        if not amount >= 0:
            raise InputError(f"{name} must be at least 0, not {amount:g}")
    for seed in config.seeds:
        training(config, "actor", data=Path(), out=Path(), seed=seed)


def _train(settings: TrainSettings, begun: bool) -> TrainReport:
    """Train, or go on; Ctrl-C stops at the next step, with a checkpoint."""
    with stopping() as (stopped, hear):
        return go_on(settings.out, hear=hear, stopped=stopped) if begun else begin(settings, hear=hear, stopped=stopped)


def _work(folder: ImproveFolder, *, as_json: bool) -> int:
    """Do what is left, show and save the result; returns the exit code."""
    stages = Stages(folder, _train)
    stages.load()
    interrupted, failure = False, None
    try:
        stages.run()
    except KeyboardInterrupt:
        interrupted = True
    except ActorCriticError as error:
        failure = error  # what is measured is shown all the same
    report = _report_of(stages)
    if report is not None:
        _show(report, folder, as_json=as_json)
    if failure is not None:
        raise failure
    if interrupted:
        sys.stderr.write(f"interrupted; go on with: actorcritic improve --resume {folder.path}\n")
        return 130
    return 1 if stages.without_rows else 0


def _show(report: ImproveReport, folder: ImproveFolder, *, as_json: bool) -> None:
    """Print what came of it, then save it."""
    if as_json:
        sys.stdout.write(f"{report.model_dump_json()}\n")
    else:
        print_report(report)
    folder.save(report)
    try:
        drawn = draw_rounds(report, folder.path / "improve.png")
    except OSError as error:
        raise InputError(f"cannot write to {folder.path / 'improve.png'}: {error.strerror}") from error
    if not drawn:
        sys.stderr.write("no picture: pip install 'actorcritic[plot]' draws improve.png\n")


def _report_of(stages: Stages) -> ImproveReport | None:
    """Return what the evaluations that are done come to, None where there is none yet."""
    config, first = stages.config, stages.config.seeds[0]
    difficulty = next((result for result in stages.results.values() if isinstance(result, Difficulty)), None)
    if difficulty is None or not stages.measured:
        return None
    found: dict[tuple[str, int], dict[int, Stage]] = {}
    for stage in stages.measured:
        found.setdefault((stage.method, stage.round), {})[stage.seed] = stage
    rounds = [
        Round(
            method=method,
            round=number,
            measured={seed: _measured(stages, stage) for seed, stage in by_seed.items()},
            cost=_cost(stages, by_seed.get(first) or next(iter(by_seed.values()))),
        )
        for (method, number), by_seed in found.items()
    ]
    rates = {problem: sum(right) / len(right) for problem, right in difficulty.right.items()}
    rounds.sort(key=lambda each: (BASE, *METHODS).index(each.method))
    rows, paired = summarize(rounds, quintiles(difficulty.right, seed=first), rates)
    best = {stage.method: stage for stage in stages.measured if _measured(stages, stage).promoted}
    return ImproveReport(
        task=config.task,
        rounds=config.rounds,
        methods=config.methods,
        seeds=config.seeds,
        train_problems=config.train_limit,
        development_problems=config.dev_limit,
        problems=len(rates),
        actor=config.actor,
        critic=config.critic,
        rows=rows,
        paired=paired,
        models={
            name: stages.spec(stage.other("train"), config.actor) for name, stage in best.items() if name != "base"
        },
        without_rows=stages.without_rows,
        seconds=round(stages.folder.seconds, 3),
    )


def _measured(stages: Stages, stage: Stage) -> Measured:
    result = stages.results[stage.name]
    assert isinstance(result, Measured)
    return result


def _cost(stages: Stages, stage: Stage) -> Cost:
    """Return what the model of an evaluation took to make, the exploration of the rounds before it included."""
    explored = 0
    place: Stage | None = stage
    while place is not None:
        # The last of these has counted all that stands in the round's run.
        kinds = [place.other(kind) for kind in ("refinements", "critiques", "samples")]
        done = (stages.results.get(each.name) for each in kinds)
        explored += next((result.tokens for result in done if isinstance(result, Explored)), 0)
        place = predecessor(place, stages.promoted, stages.config.seeds[0])
    trained, data = stages.results.get(stage.other("train").name), stages.results.get(stage.other("data").name)
    if not isinstance(trained, Trained) or not isinstance(data, Data):
        return Cost(explore_tokens=explored if stage.method != BASE else 0)
    return Cost(
        explore_tokens=explored,
        train_rows=trained.rows,
        train_tokens=trained.tokens,
        train_seconds=trained.seconds,
    )
