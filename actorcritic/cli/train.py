"""`actorcritic train`: trains a model on what `actorcritic export` wrote."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from actorcritic.cli.options import refuse_others
from actorcritic.errors import InputError
from actorcritic.search.options import OptionValue
from actorcritic.training.run import resume as go_on
from actorcritic.training.run import train as begin
from actorcritic.training.settings import Progress, TrainReport, TrainSettings

__all__ = ["stopping", "train"]

RESUMED = frozenset({"resume", "as_json"})
"""Options beside `--resume`."""
EVERY = 10.0
"""Seconds between two lines of progress."""
MANY = 0.5
"""Share of groups that teach nothing, from which it is said."""


def train(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    recipe: Annotated[str, typer.Option(help="Recipe that the data was exported by.", show_default=False)] = "",
    data: Annotated[Path | None, typer.Option(help="Folder that `actorcritic export --out` wrote.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub id to begin with; smollm2, or of a packaged pair: embedded-actor, embedded-critic, "
            "embedded-arithmetic-actor, embedded-arithmetic-critic."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New folder for the result, its checkpoints and its losses.")] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Folder to go on with, under its own settings.")
    ] = None,
    lora_rank: Annotated[
        int | None, typer.Option(help="Rank of an adapter; 0 = train all weights.", show_default="the preset's")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows.", show_default="the preset's")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest of its schedule.", show_default="the preset's")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows per optimizer step.", show_default="the preset's")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(help="Optimizer steps, in place of epochs.", show_default="by epochs")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of a row; longer ones are dropped.", show_default="the model's context")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of the method, may be given often; an unknown one lists them.")
    ] = None,
    allow_oracle: Annotated[bool, typer.Option("--allow-oracle", help="Train on an export of an oracle run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> int:
    """Train a model on an export by its recipe's method, with the paper's hyper-parameters unless told otherwise."""
    if resume is not None:
        refuse_others(context, "--resume", RESUMED, "takes recipe, data, model and options from its folder")
        folder = resume
        with stopping() as (stopped, hear):
            report = go_on(folder, hear=hear, stopped=stopped)
    else:
        if not recipe or data is None or model is None or out is None:
            raise InputError("give --recipe, --data, --model and --out, or --resume, a folder to go on with")
        folder = out
        settings = TrainSettings(
            recipe=recipe,
            data=data,
            model=model,
            out=out,
            seed=seed,
            lora_rank=lora_rank,
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_steps=max_steps,
            max_length=max_length,
            device=device,
            allow_oracle=allow_oracle,
            options=_options(option or ()),
        )
        with stopping() as (stopped, hear):
            report = begin(settings, hear=hear, stopped=stopped)
    return _tell(report, folder, as_json=as_json)


def _options(texts: Sequence[str]) -> dict[str, OptionValue]:
    """Return options by name.

    Raises:
        InputError: one is not written as NAME=VALUE, or stands there twice.
    """
    options: dict[str, OptionValue] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in options:
            raise InputError(f"--option {text}: write each option once, as NAME=VALUE")
        options[name] = value
    return options


@contextmanager
def stopping() -> Generator[tuple[Callable[[], bool], Callable[[Progress], None]]]:
    """Turn the first Ctrl-C into a wish to stop; a second one stops at once. Gives what asks for it and what shows."""
    wished = False

    def wish(number: int, frame: FrameType | None) -> None:
        nonlocal wished
        if wished:
            raise KeyboardInterrupt
        wished = True
        sys.stderr.write("stopping after this step; Ctrl-C again stops at once\n")

    said = 0.0

    def show(progress: Progress) -> None:
        nonlocal said
        if progress.step == progress.steps or time.monotonic() - said >= EVERY:
            said = time.monotonic()
            sys.stderr.write(f"{_line(progress)}\n")

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield (lambda: wished), show
    finally:
        signal.signal(signal.SIGINT, before)


def _line(progress: Progress) -> str:
    parts = [f"step {progress.step} of {progress.steps}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.reward is not None:
        parts.append(f"reward {progress.reward:.3f}")
    if progress.seconds_left is not None and progress.step < progress.steps:
        parts.append(f"{timedelta(seconds=round(progress.seconds_left))} left")
    return ", ".join(parts)


def _tell(report: TrainReport, folder: Path, *, as_json: bool) -> int:
    """Print what came of it; returns the exit code."""
    if as_json:
        paths = {"model": str(report.model), "adapter": None if report.adapter is None else str(report.adapter)}
        sys.stdout.write(f"{json.dumps({**asdict(report), **paths})}\n")
    else:
        left_out = "".join(f"\n  dropped {count:>6}  {reason}" for reason, count in report.dropped.items())
        rewards = (
            "" if report.first_reward is None else f", reward {report.first_reward:.3f} to {report.last_reward:.3f}"
        )
        losses = "" if report.first_loss is None else f", loss {report.first_loss:.4f} to {report.last_loss:.4f}"
        sys.stdout.write(
            f"{report.recipe} ({report.method}): {report.rows} rows, {report.steps} steps{rewards}{losses}, "
            f"{report.tokens} tokens in {report.seconds:.0f} s{left_out}\n"
        )
        if report.alike is not None and report.alike >= MANY:
            sys.stdout.write(
                f"in {report.alike:.0%} of the groups all completions earned the same, and taught nothing: "
                "try more of them (--option generations=N), a higher temperature, or other problems\n"
            )
        if not report.interrupted:
            sys.stdout.write(f"use it as {report.spec}\n")
    if report.interrupted:
        sys.stderr.write(f"interrupted; go on with: actorcritic train --resume {folder}\n")
        return 130
    return 0
