"""The stages of a measurement, through the library's own commands: what is done stays done, what broke off goes on.

Knows no measurement. A command's own output goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorcritic.cli.app import run
from actorcritic.cli.critic_eval import read_critic_rows
from actorcritic.cli.improve_measure import judge, outcomes_of
from actorcritic.cli.improve_runs import Casting, read_answers, sample
from actorcritic.cli.solve import Item
from actorcritic.critic_report import CriticReport, CriticRow
from actorcritic.metrics import mean_interval, paired_difference
from actorcritic.tasks.heldout import Split
from actorcritic.tasks.sources import draw_problems
from actorcritic.training.folders import read_report
from actorcritic.training.improve.outcomes import SAMPLES, Outcome
from actorcritic.training.settings import TrainReport
from actorcritic.types import Reference

__all__ = ["Bench", "Judged", "difference", "share"]

RUN, TRAINED = "run.json", "train.json"


@dataclass(frozen=True, slots=True)
class Judged:
    """What `critic-eval` found."""

    report: CriticReport
    rows: list[CriticRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A folder of stages."""

    out: Path
    options: argparse.Namespace

    def once(self, name: str, work: Callable[[], object]) -> None:
        """Do a stage unless its mark is there."""
        mark = self.out / "done" / name.replace("/", "--")
        if mark.exists():
            return
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {name}\n")
        work()
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()

    def command(self, *arguments: object) -> None:
        """Run a command of the library in this process.

        Raises:
            SystemExit: it was interrupted or refused its arguments; a single problem that failed is none.
        """
        with redirect_stdout(sys.stderr):
            code = run([str(argument) for argument in arguments])
        if code not in (0, 1):
            raise SystemExit(code)

    def collect(self, name: str, *arguments: object) -> Path:
        """Collect a run."""
        folder = self.out / name

        def work() -> None:
            begun = (folder / RUN).exists()
            common = ("--seed", self.options.seed, "--concurrency", self.options.concurrency)
            self.command("collect", *(("--resume", folder) if begun else (*arguments, *common, "--out", folder)))

        self.once(name, work)
        return folder

    def add(self, run_folder: Path, step: str, *arguments: object) -> None:
        """Have models add to a run that is done."""
        self.once(
            f"{run_folder.relative_to(self.out)}+{step}",
            lambda: self.command("collect", "--from", run_folder, "--step", step, *arguments),
        )

    def export(self, name: str, run_folder: Path, recipe: str, *arguments: object) -> Path:
        """Export a run; all of its problems are for training, since held-out ones are problems of their own."""
        folder = self.out / name

        def work() -> None:
            if folder.exists():
                shutil.rmtree(folder)  # of an export that broke off
            self.command("export", run_folder, "--recipe", recipe, "--split", "1/0", *arguments, "--out", folder)

        self.once(name, work)
        return folder

    def train(self, name: str, recipe: str, data: Path, model: object, *arguments: object) -> TrainReport:
        """Train a model."""
        folder = self.out / name

        def work() -> None:
            new = ("--recipe", recipe, "--data", data, "--model", model, "--out", folder, "--seed", self.options.seed)
            begun = (folder / TRAINED).exists()
            self.command("train", *(("--resume", folder) if begun else (*new, "--device", "cpu", *arguments)))

        self.once(name, work)
        report = read_report(folder)
        assert report is not None  # one that was stopped has raised
        return report

    def judge_critic(self, name: str, critic: str, *, task: str, split: Split, limit: int, actor: str) -> Judged:
        """Measure a critic with `critic-eval`."""
        folder = self.out / name

        def work() -> None:
            new = ("--task", task, "--split", split, "--limit", limit, "--actor", actor, "--critic", critic)
            common = ("--seed", self.options.seed, "--concurrency", self.options.concurrency, "--out", folder)
            begun = (folder / "critic-eval.json").exists()
            self.command("critic-eval", *(("--resume", folder) if begun else (*new, *common)))

        self.once(name, work)
        report = CriticReport.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))
        return Judged(report, read_critic_rows(folder))

    # --- actors ----------------------------------------------------------------------------------------------------

    def casting(self, actor: str, critic: str) -> Casting:
        """Return who plays; every model is measured with the same draws."""
        return Casting(
            actor=actor,
            critic=critic,
            temperature=1.0,
            concurrency=self.options.concurrency,
            seed=self.options.seed,
            device="cpu",
            dtype="auto",
        )

    def greedy_share(self, name: str, actor: str, *, task: str, split: Split, limit: int) -> float:
        """Return the share of right greedy answers, for a choice."""
        folder, items = self.out / name, _items(task, split, limit)
        self.once(name, lambda: sample(folder, self.casting(actor, "none"), items, 1, greedy=True))
        answers = read_answers(folder)
        return sum(found[0].right for found in answers.values()) / len(answers)

    def outcomes(
        self, name: str, actor: str, critic: str | None, *, task: str, split: Split, limit: int
    ) -> list[Outcome]:
        """Measure an actor as `improve` does: one greedy answer and five samples, alone and with the critic.

        Args:
            name: Of the folder.
            actor: A model spec.
            critic: A model spec; None = alone, then what stands for "with the critic" says nothing more.
            task: Whose problems.
            split: Of the held-out rule.
            limit: Problems.
        """
        folder, items = self.out / name, _items(task, split, limit)
        casting = self.casting(actor, critic or "none")
        path = folder / "outcomes.json"

        def work() -> None:
            sample(folder / "greedy", casting, items, 1, greedy=True)
            sample(folder / "samples", casting, items, SAMPLES)
            if critic is not None:
                judge(folder / "greedy", casting)
                judge(folder / "samples", casting)
            found = outcomes_of(read_answers(folder / "greedy"), read_answers(folder / "samples"))
            path.write_text(json.dumps([each.model_dump() for each in found]), encoding="utf-8")

        self.once(name, work)
        return [Outcome.model_validate(each) for each in json.loads(path.read_text(encoding="utf-8"))]


def _items(task: str, split: Split, limit: int) -> list[Item]:
    return [Item(problem=problem, reference=Reference()) for problem in draw_problems(task, split, limit)]


def share(rates: Sequence[float], repeats: int = 1) -> dict[str, Any]:
    """Return a mean over problems with its 95% interval."""
    low, high = mean_interval(rates, repeats)
    return {"value": round(sum(rates) / len(rates), 4), "low": round(low, 4), "high": round(high, 4)}


def difference(after: Sequence[float], before: Sequence[float]) -> dict[str, Any]:
    """Return a paired difference with its 95% interval."""
    found = paired_difference(after, before)
    return {"value": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
