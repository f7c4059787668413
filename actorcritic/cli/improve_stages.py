"""The stages of a self-improvement run, each done in its own folder; a stage that broke off goes on when done again.

Knows which models play in a stage (from `training.improve.plan`) and how each kind of stage is done; shows nothing
beyond progress on stderr.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict

from actorcritic.cli.improve_folder import ImproveConfig, ImproveFolder
from actorcritic.cli.improve_measure import judge, outcomes_of, share_right
from actorcritic.cli.improve_runs import Casting, add_critiques, add_refinements, read_answers, sample, tokens_of
from actorcritic.cli.solve import Item
from actorcritic.export.mixing import Part, mix_exports
from actorcritic.export.pipeline import Export, Order, export_run
from actorcritic.export.recipe import Setting
from actorcritic.export.recipes import parse_recipe
from actorcritic.export.wordings import wording_named
from actorcritic.export.writing import write_export
from actorcritic.metering import derive_seed
from actorcritic.tasks.heldout import Split
from actorcritic.tasks.sources import draw_problems
from actorcritic.training.bases import Role, names_in_pair
from actorcritic.training.improve.outcomes import SAMPLES, Measured
from actorcritic.training.improve.plan import (
    BASE,
    Kind,
    Players,
    Stage,
    candidates,
    measured,
    plan_stages,
    players,
    predecessor,
)
from actorcritic.training.improve.worked import worked_solution
from actorcritic.training.settings import TrainReport, TrainSettings
from actorcritic.trajectory.recorder import EVENTS, PROBLEMS, RUN
from actorcritic.types import Reference

__all__ = ["Data", "Difficulty", "Explored", "Stages", "Train", "Trained", "training"]

SEEDS = 2**31
"""Seeds of runs are below this."""


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Explored(_Result):
    """Samples, critiques or refinements of training problems."""

    tokens: int
    """Logical tokens of the whole run folder so far, all roles."""
    seconds: float


class Difficulty(_Result):
    """What the base's own samples say of the held-out problems."""

    right: dict[str, list[bool]]
    """By problem."""


class Data(_Result):
    """What a round learns from."""

    rows: dict[str, int]
    """By source: worked, attempt, refinement, critique, and `followed` for those with the critique in the prompt.
    Empty = nothing to learn from: nothing is trained, and the next round explores with the same model."""
    dropped: dict[str, int]


class Trained(_Result):
    """A trained model."""

    spec: str
    """Relative to the run folder."""
    rows: int
    steps: int
    tokens: int
    seconds: float
    first_loss: float | None
    last_loss: float | None


Train = Callable[[TrainSettings, bool], TrainReport]
"""Trains by these settings; the flag says to go on with what stands in their folder."""

RESULTS: dict[Kind, type[_Result] | type[Measured]] = {
    "samples": Explored,
    "critiques": Explored,
    "refinements": Explored,
    "difficulty": Difficulty,
    "data": Data,
    "train": Trained,
    "evaluate": Measured,
}


class Stages:
    """The stages of one run, and what those that are done have brought. Mutable: results are added.

    Args:
        folder: Where everything goes.
        train: Who trains.
    """

    def __init__(self, folder: ImproveFolder, train: Train) -> None:
        self.folder = folder
        self.config: ImproveConfig = folder.config
        self.plan = plan_stages(self.config.methods, self.config.rounds, self.config.seeds)
        self.results: dict[str, BaseModel] = {}
        self._train_with = train
        self._items: dict[Split, Sequence[Item]] = {}

    def load(self) -> None:
        """Take in what is done already."""
        for stage in self.plan:
            result = self.folder.done(stage, RESULTS[stage.kind])
            if result is not None:
                self.results[stage.name] = result

    def run(self) -> None:
        """Do every stage that is not done, in order."""
        for number, stage in enumerate(self.plan, start=1):
            if stage.name not in self.results and not self._hungry(stage):
                sys.stderr.write(f"{number} of {len(self.plan)}: {stage.name}\n")
                began = time.monotonic()
                try:
                    result = self._do(stage)
                finally:
                    self.folder.add_seconds(time.monotonic() - began)
                self.folder.finish(stage, result)
                self.results[stage.name] = result

    def _hungry(self, stage: Stage) -> bool:
        """Whether this is to train or to measure what has no row to learn from."""
        data = self.results.get(stage.other("data").name)
        return isinstance(data, Data) and not data.rows

    @property
    def without_rows(self) -> dict[str, dict[str, int]]:
        """By the name of every round that had no row to learn from, what was dropped."""
        found = {name: result for name, result in self.results.items() if isinstance(result, Data) and not result.rows}
        return {name.removesuffix("/data"): result.dropped for name, result in found.items()}

    def _do(self, stage: Stage) -> BaseModel:
        work: dict[Kind, Callable[[Stage], BaseModel]] = {
            "samples": self._explore,
            "critiques": self._criticize,
            "refinements": self._refine,
            "difficulty": self._difficulty,
            "data": self._export,
            "train": self._train,
            "evaluate": self._evaluate,
        }
        return work[stage.kind](stage)

    # --- who plays -------------------------------------------------------------------------------------------------

    @property
    def promoted(self) -> dict[str, bool]:
        """By the name of every evaluation that is done, whether its model goes on."""
        return {name: result.promoted for name, result in self.results.items() if isinstance(result, Measured)}

    def spec(self, trained: Stage | None, base: str) -> str:
        """Return the spec of a model: of a training stage, or of the base."""
        if trained is None:
            return base
        scheme, _, path = cast("Trained", self.results[trained.name]).spec.partition(":")
        return f"{scheme}:{self.folder.path / path}"

    def casting(self, who: Players, *parts: str | int) -> Casting:
        """Return players with a seed of their own, which depends on the parts."""
        config = self.config
        return Casting(
            actor=self.spec(who.actor, config.actor),
            critic=self.spec(who.critic, config.critic),
            temperature=config.temperature,
            concurrency=config.concurrency,
            seed=derive_seed(*parts) % SEEDS,
            device=config.device,
            dtype=config.dtype,
        )

    def items(self, split: Split) -> Sequence[Item]:
        """Return the problems of a split; those for training come with worked solutions where there is a solver."""
        if split not in self._items:
            config = self.config
            count = {"train": config.train_limit, "dev": config.dev_limit, "test": config.eval_limit}[split]
            drawn = draw_problems(config.task, split, count)
            seed = config.seeds[0]
            self._items[split] = [
                Item(
                    problem=problem,
                    reference=Reference(solution=worked_solution(problem, seed=seed) if split == "train" else None),
                )
                for problem in drawn
            ]
        return self._items[split]

    # --- exploring -------------------------------------------------------------------------------------------------

    def _exploring(self, stage: Stage) -> Casting:
        # The same for every method, so that those who explore with the same model share their samples.
        first = self.config.seeds[0]
        return self.casting(players(stage, self.promoted, first), stage.seed, "explore", stage.round)

    def run_of(self, stage: Stage) -> Path:
        """Return the run folder that a round explores into."""
        return self.folder.of(stage.other("samples")) / "run"

    def _explore(self, stage: Stage) -> Explored:
        began, folder, casting = time.monotonic(), self.run_of(stage), self._exploring(stage)
        twin = self._twin(stage, casting)
        if twin is not None and not (folder / RUN).exists():
            _copy_run(twin, folder)
        sample(folder, casting, self.items("train"), self.config.samples)
        return Explored(tokens=tokens_of(folder), seconds=_since(began))

    def _twin(self, stage: Stage, casting: Casting) -> Path | None:
        """Return a run in which the same model has drawn the same samples for another method."""
        for other in self.plan:
            same_place = (other.kind, other.round, other.seed) == ("samples", stage.round, stage.seed)
            if same_place and other.method != stage.method and other.name in self.results:
                if self._exploring(other).actor == casting.actor:
                    return self.run_of(other)
        return None

    def _criticize(self, stage: Stage) -> Explored:
        began = time.monotonic()
        # A critic learns what is right, too.
        add_critiques(self.run_of(stage), self._exploring(stage), "all" if stage.method == "critic" else "wrong")
        return Explored(tokens=tokens_of(self.run_of(stage)), seconds=_since(began))

    def _refine(self, stage: Stage) -> Explored:
        began = time.monotonic()
        add_refinements(self.run_of(stage), self._exploring(stage), "wrong")
        return Explored(tokens=tokens_of(self.run_of(stage)), seconds=_since(began))

    def _difficulty(self, stage: Stage) -> Difficulty:
        folder = self.folder.of(stage) / "run"
        casting = self.casting(Players(), self.config.seeds[0], "difficulty")
        sample(folder, casting, self.items("test"), self.config.difficulty_samples)
        answers = read_answers(folder)
        return Difficulty(right={problem: [one.right for one in found] for problem, found in answers.items()})

    # --- learning --------------------------------------------------------------------------------------------------

    def _export(self, stage: Stage) -> Data:
        export = mix_exports(self._parts(stage), seed=stage.seed)
        folder = self.folder.of(stage) / "rows"
        if folder.exists():
            shutil.rmtree(folder)  # of a stage that broke off: there is no mark
        if export.rows["train"]:
            write_export(export, folder)
        sources = Counter(str(row.get("source", "critique")) for row in export.rows["train"])
        return Data(rows=dict(sorted(sources.items())), dropped=dict(export.drops))

    def _parts(self, stage: Stage) -> list[Part]:
        """Return what a model learns from: the original data, and what its round explored."""
        own = self.run_of(stage)
        if stage.method == "critic":
            return [Part(export=self._rows(own, "critic-sft", self.config.critic))]
        base = self.run_of(Stage(kind="samples", method=BASE, round=0, seed=self.config.seeds[0]))
        parts: list[Part] = []
        followed = self._rows(base, "self-improve:form=refinement", self.config.actor)
        parts.append(Part(export=followed, weight=self.config.refinement_weight))
        if any(item.reference.solution for item in self.items("train")):
            parts.append(Part(export=self._rows(base, "self-improve:form=reasoning", self.config.actor)))
        if stage.method != "sft":
            sources = "all" if stage.method == "critique" else "own"
            parts.append(Part(export=self._rows(own, f"self-improve:sources={sources}", self.config.actor)))
        return parts

    def _rows(self, run: Path, text: str, model: str) -> Export:
        """Return an export in the words of a model."""
        recipe, options = parse_recipe(text)
        form = options.text("form") if "form" in options else next(iter(recipe.forms))
        wording = wording_named("embedded" if model.partition(":")[0] == "embedded" else "chat")
        setting = Setting(recipe=recipe.name, options=options, form=form, seed=self.config.seeds[0], wording=wording)
        return export_run(run, Order(recipe=recipe, setting=setting, share=1.0))

    def _train(self, stage: Stage) -> Trained:
        role: Role = "critic" if stage.method == "critic" else "actor"
        out, data = self.folder.of(stage) / "out", self.folder.of(stage.other("data")) / "rows"
        settings = training(self.config, role, data=data, out=out, seed=stage.seed)
        report = self._train_with(settings, (out / "train.json").exists())
        if report.interrupted:
            raise KeyboardInterrupt
        scheme, _, path = report.spec.partition(":")
        return Trained(
            spec=f"{scheme}:{Path(path).resolve().relative_to(self.folder.path.resolve())}",
            rows=report.rows,
            steps=report.steps,
            tokens=report.tokens,
            seconds=report.seconds,
            first_loss=report.first_loss,
            last_loss=report.last_loss,
        )

    # --- measuring -------------------------------------------------------------------------------------------------

    def _evaluate(self, stage: Stage) -> Measured:
        began, first = time.monotonic(), self.config.seeds[0]
        # The same seed for every model: what differs between two rows is the model, not the draw.
        casting = self.casting(candidates(stage, self.promoted, first), stage.seed, "evaluate")
        place = self.folder.of(stage)
        sample(place / "dev", casting, self.items("dev"), SAMPLES)
        with_critic = "critic" in self.config.methods
        if with_critic:
            judge(place / "dev", casting)
        development = share_right(read_answers(place / "dev"), with_critic=stage.method == "critic")
        sample(place / "greedy", casting, self.items("test"), 1, greedy=True)
        sample(place / "samples", casting, self.items("test"), SAMPLES)
        judge(place / "greedy", replace(casting, temperature=0.0))
        judge(place / "samples", casting)
        before = predecessor(stage, self.promoted, first)
        return Measured(
            outcomes=outcomes_of(read_answers(place / "greedy"), read_answers(place / "samples")),
            development=development,
            promoted=before is None or development >= self._development(before, stage),
            seconds=_since(began),
        )

    def _development(self, before: Stage, stage: Stage) -> float:
        """Return how the players that a round began with did on the development problems."""
        known = cast("Measured", self.results[before.name])
        if stage.method != "critic" or before.method == "critic":
            return known.development
        return share_right(read_answers(self.folder.of(before) / "dev"), with_critic=True)

    @property
    def measured(self) -> tuple[Stage, ...]:
        """The evaluations that are done, in order."""
        return tuple(stage for stage in measured(self.plan) if stage.name in self.results)


def training(config: ImproveConfig, role: Role, *, data: Path, out: Path, seed: int) -> TrainSettings:
    """Return how a role is trained, from its base.

    Raises:
        InputError: an option of the run is out of its range.
    """
    spec = config.critic if role == "critic" else config.actor
    return TrainSettings(
        recipe="critic-sft" if role == "critic" else "self-improve",
        data=data,
        model=names_in_pair(spec)[role] if spec.partition(":")[0] == "embedded" else spec,
        out=out,
        seed=seed,
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        device=config.device,
    )


def _copy_run(source: Path, target: Path) -> None:
    """Copy a run without what was added to it; its mark goes last."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source / EVENTS, target / EVENTS, dirs_exist_ok=True)
    for name in (PROBLEMS, RUN):
        shutil.copyfile(source / name, target / name)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
