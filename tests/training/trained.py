"""Short training runs on rows by hand, for the tests that need TRL."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from actorcritic.training import run
from actorcritic.training.run import resume, train
from actorcritic.training.settings import Progress, TrainReport, TrainSettings
from actorcritic.training.work import Built, Work
from tests.training.exported import write_rows


class Runs:
    """Runs of one test, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def settings(self, recipe: str, rows: Sequence[Mapping[str, Any]] | Path, **more: Any) -> TrainSettings:
        """Return settings for rows by hand or for an export; `facts` go into the manifest."""
        self._count += 1
        facts = more.pop("facts", {})
        data = rows if isinstance(rows, Path) else write_rows(self.folder / f"data{self._count}", recipe, rows, **facts)
        given: dict[str, Any] = {
            "model": "embedded-actor",
            "out": self.folder / f"out{self._count}",
            "device": "cpu",
            "learning_rate": 1e-3,
            "batch_size": 4,
            "lora_rank": 0,
        }
        return TrainSettings(recipe=recipe, data=data, **{**given, **more})

    def train(self, recipe: str, rows: Sequence[Mapping[str, Any]] | Path, **more: Any) -> TrainReport:
        """Train from beginning to end."""
        return train(self.settings(recipe, rows, **more))

    def broken(self, settings: TrainSettings, after: int) -> TrainReport:
        """Train the same in another folder, stopped after some steps and gone on with."""
        told: list[Progress] = []
        other = replace(settings, out=settings.out.with_name(f"{settings.out.name}-broken"))
        first = train(other, hear=told.append, stopped=lambda: len(told) >= after)
        assert first.interrupted and 0 < first.steps < told[0].steps
        assert not (other.out / "model").exists()
        moved = other.out.with_name(f"{other.out.name}-moved")
        shutil.move(other.out, moved)
        return resume(moved)

    def build(self, recipe: str, rows: Sequence[Mapping[str, Any]] | Path, **more: Any) -> tuple[Work, Built]:
        """Return what training would run, without running it."""
        plan = run._check(self.settings(recipe, rows, **more))
        plan.settings.out.mkdir()
        work = run._work(plan)
        with run._quiet():
            return work, plan.method.build(work)


def weights(report: TrainReport) -> dict[str, torch.Tensor]:
    """Return the weights that a run saved."""
    return load_file(report.model / "model.safetensors")


def same_weights(one: TrainReport, other: TrainReport) -> bool:
    """Whether two runs saved the same, bit by bit."""
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
