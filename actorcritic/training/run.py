"""Trains a model on an export: checks first, then the method's trainer, checkpoints, and a result that loads again.

Heavy libraries are imported once the settings are found good.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from actorcritic.errors import InputError
from actorcritic.search.options import Option, Options, OptionValue
from actorcritic.training.bases import Base, context_of, find_base, load_tokenizer, save_adapter, save_result
from actorcritic.training.exports import TrainingData, read_training_data
from actorcritic.training.folders import (
    LOG,
    begin_run,
    check_new,
    disk_room,
    given_back,
    read_report,
    read_run,
    write_report,
)
from actorcritic.training.libraries import require, require_all
from actorcritic.training.presets import Preset, preset_of
from actorcritic.training.settings import Progress, TrainReport, TrainSettings

if TYPE_CHECKING:
    from actorcritic.training.following import LossLog
    from actorcritic.training.work import Built, Method, Work

__all__ = ["resume", "train"]


def _nothing(progress: Progress) -> None:
    """Tell nobody."""


def _never() -> bool:
    return False


def train(
    settings: TrainSettings,
    *,
    hear: Callable[[Progress], None] = _nothing,
    stopped: Callable[[], bool] = _never,
) -> TrainReport:
    """Train from the beginning.

    Args:
        settings: What to train on what, and how.
        hear: Told after every optimizer step.
        stopped: Asked after every step; True = save a checkpoint and stop.

    Raises:
        InputError: the settings, the data or the model are not fit, and nothing has been written; or the disk is full.
        EngineUnavailable: the model cannot be loaded.
    """
    plan = _check(settings)
    check_new(settings.out)
    with disk_room(settings.out), given_back(settings.out):
        begin_run(plan.settings, plan.data.digest)
        return _go(plan, hear, stopped)


def resume(
    out: Path,
    *,
    hear: Callable[[Progress], None] = _nothing,
    stopped: Callable[[], bool] = _never,
) -> TrainReport:
    """Go on with a run under its own settings, from its newest whole checkpoint; one that is done gives its report.

    Args:
        out: The folder of the run; it may have moved.
        hear: As for `train`.
        stopped: As for `train`.

    Raises:
        InputError: there is no run, or its data has changed; else as for `train`.
    """
    settings, digest = read_run(out)
    done = read_report(out)
    if done is not None:
        return done
    plan = _check(settings)
    if plan.data.digest != digest:
        raise InputError(f"{settings.data} is not the export that the run began with: it cannot go on")
    with disk_room(out):
        return _go(plan, hear, stopped)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Settings found good."""

    settings: TrainSettings
    """With paths that hold from anywhere."""
    data: TrainingData
    preset: Preset
    method: Method
    options: Options
    base: Base


def _check(settings: TrainSettings) -> _Plan:
    """Refuse what cannot be trained, the cheap reasons first."""
    preset_of(settings.recipe)
    data = read_training_data(settings.data, settings.recipe, allow_oracle=settings.allow_oracle)
    given = dict(settings.options)
    preset = preset_of(settings.recipe, data.form)
    chosen = str(given.pop("method", preset.method))
    base = find_base(settings.model)
    require_all()
    # These import torch and its like.
    from actorcritic.engines.transformers.model import pick_device  # noqa: PLC0415 - see above
    from actorcritic.training.methods import method_named  # noqa: PLC0415 - see above
    from actorcritic.training.work import COMMON_OPTIONS  # noqa: PLC0415 - see above

    pick_device(settings.device)
    method = method_named(chosen, data.dataset_type)
    preset = preset_of(settings.recipe, data.form, chosen)
    for wanted in method.columns:
        if not any(name in data.rows[0] for name in wanted.split("|")):
            names = wanted.replace("|", " or ")
            raise InputError(f"{settings.data} has no column {names}, which the method {method.name} needs")
    options = _options((*method.options, *COMMON_OPTIONS), given)
    model = base.source if base.folder is None else str(base.folder.resolve())
    found = replace(settings, data=settings.data.resolve(), model=model)
    return _Plan(settings=found, data=data, preset=preset, method=method, options=options, base=base)


def _options(known: tuple[Option, ...], given: Mapping[str, OptionValue]) -> Options:
    """Return checked options; a text is read as a person writes it."""
    by_name = {option.name: option for option in known}
    read = {
        name: by_name[name].parse(value) if name in by_name and isinstance(value, str) else value
        for name, value in given.items()
    }
    return Options(known, read)


def _go(plan: _Plan, hear: Callable[[Progress], None], stopped: Callable[[], bool]) -> TrainReport:
    """Train, save, and report."""
    from actorcritic.training.following import Follower, LossLog, last_checkpoint  # noqa: PLC0415 - imports torch

    out = plan.settings.out
    with _quiet(), _threads(None if plan.base.role is None else 1):
        transformers = require("transformers")
        transformers.set_seed(plan.settings.seed)
        work = _work(plan)
        before = last_checkpoint(work.checkpoints)
        log = LossLog(out / LOG, 0 if before is None else before[1])
        built = plan.method.build(work)
        if before is not None:
            for one in built.kept:
                one.load(before[0])
        follower = Follower(log, plan.options.real("save_seconds"), hear, stopped, built.kept)
        built.trainer.remove_callback(transformers.PrinterCallback)
        built.trainer.add_callback(follower)
        built.trainer.train(resume_from_checkpoint=None if before is None else str(before[0]))
        if follower.interrupted:
            return _report(plan, built, log)
        report = _save(plan, built, _report(plan, built, log))
    write_report(report, out)
    shutil.rmtree(work.checkpoints, ignore_errors=True)
    return report


def _work(plan: _Plan) -> Work:
    """Return what a method is given."""
    from actorcritic.training.encoding import Encoder  # noqa: PLC0415 - imports transformers
    from actorcritic.training.work import Work  # noqa: PLC0415 - as above

    tokenizer = load_tokenizer(plan.base)
    limits = (plan.settings.max_length, plan.preset.max_length, context_of(plan.base))
    asked = next((limit for limit in limits[:2] if limit is not None), None)
    return Work(
        settings=plan.settings,
        preset=plan.preset,
        data=plan.data,
        base=plan.base,
        options=plan.options,
        tokenizer=tokenizer,
        encoder=Encoder(tokenizer, plan.base.source, marks=plan.data.marks),
        limit=min(limit for limit in (asked, limits[2]) if limit is not None),
    )


def _report(plan: _Plan, built: Built, log: LossLog) -> TrainReport:
    """Return the report of a run that is not saved yet."""
    from actorcritic.training.following import mean_of_last  # noqa: PLC0415 - imports torch

    records = log.records
    rewards = [record.reward for record in records if record.reward is not None]
    alike = [record.alike for record in records if record.alike is not None]
    return TrainReport(
        recipe=plan.data.recipe,
        method=plan.method.name,
        model=plan.settings.out,
        spec=f"hf:{plan.settings.out}",
        adapter=None,
        rows=built.rows,
        dropped=built.dropped,
        steps=records[-1].step if records else 0,
        first_loss=records[0].loss if records else None,
        last_loss=mean_of_last([record.loss for record in records]),
        first_reward=rewards[0] if rewards else None,
        last_reward=mean_of_last(rewards),
        alike=fmean(alike) if alike else None,
        seconds=round(log.seconds, 3),
        tokens=records[-1].tokens if records else 0,
        interrupted=True,
    )


def _save(plan: _Plan, built: Built, report: TrainReport) -> TrainReport:
    """Save the result in the number format of the base, and say where."""
    out, model = plan.settings.out, built.trainer.accelerator.unwrap_model(built.trainer.model)
    adapter: Path | None = None
    if hasattr(model, "merge_and_unload"):
        adapter = save_adapter(plan.base, model, built.tokenizer, out / "adapter")
        if plan.options.text("merge") == "no":
            spec = f"{built.scheme}:{adapter}{built.query}"
            return replace(report, model=adapter, spec=spec, adapter=adapter, interrupted=False)
        model = model.merge_and_unload()
    folder, spec = save_result(plan.base, model, built.tokenizer, out / "model", built.scheme)
    return replace(report, model=folder, spec=f"{spec}{built.query}", adapter=adapter, interrupted=False)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep libraries from printing what is no business of a person who trains."""
    from actorcritic.engines.transformers.model import quiet_loading  # noqa: PLC0415 - imports torch

    datasets: Any = require("datasets")
    datasets.disable_progress_bars()
    # TRL's own switch for the bars that it draws.
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        with quiet_loading(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(trl|transformers|torch|peft|accelerate|datasets)\b.*")
            yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before


@contextmanager
def _threads(count: int | None) -> Generator[None]:
    """Let torch have so many threads meanwhile: models as small as the embedded pair are slower on more."""
    torch: Any = require("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
