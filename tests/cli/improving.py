"""A scripted world that improves itself, and a trainer that only says how skilled its model now is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actorcritic.actor import ModelActor
from actorcritic.cli import improve as command_module
from actorcritic.cli.app import run
from actorcritic.cli.runs import RunConfig
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.formats.embedded import EmbeddedActorFormat
from actorcritic.formats.lines import render_lines
from actorcritic.loading import Roles
from actorcritic.tasks import countdown
from actorcritic.training.improve.report import ImproveReport
from actorcritic.training.settings import TrainReport, TrainSettings
from actorcritic.types import GenerateRequest
from tests.cli.conftest import Output
from tests.graphs.world import WordCriticFormat, know, play, read_prompt

SKILLS = {"sft": 0.4, "vanilla/round-1": 0.1, "vanilla/round-2": 0.6, "critique/round-1": 0.7, "critique/round-2": 0.9}
"""How often a trained actor plays right; the base 0.2. Vanilla's first round makes things worse."""
BASE = 0.2
SMALL = ("--train-limit", 8, "--eval-limit", 10, "--dev-limit", 12, "--samples", 3, "--difficulty-samples", 2)
LEAST = ("--train-limit", 6, "--eval-limit", 5, "--dev-limit", 3, "--samples", 3, "--difficulty-samples", 1)
TINY = ("--task", "countdown-3", "--rounds", 1, "--methods", "sft,critique", *LEAST)
Start = Callable[..., Output]


def skilled(skill: float) -> Callable[[GenerateRequest], str]:
    """Return an actor that knows the way so often, and else plays at random."""

    def write(request: GenerateRequest) -> str:
        puzzle, steps = read_prompt(request)
        rng = random.Random(f"{request.seed} {request.prompt}")
        state = tuple(sorted(puzzle.numbers))
        for step in steps:
            equation = countdown.parse_step(step)
            assert equation is not None
            state = countdown.after(state, equation)
        way = countdown.solve(countdown.Countdown(state, puzzle.target), rng) if rng.random() < skill else None
        if way is None:
            return play(request)
        return "".join(render_lines(puzzle, (*steps, *way))[len(steps) :])

    return write


def load(config: RunConfig) -> Roles:
    """Load the actor that a spec names, and a critic that knows the rules."""
    skill = next((value for name, value in SKILLS.items() if f"stages/{name}" in config.actor), BASE)
    # By what it can do, as weights have their fingerprint: where a model lies says nothing.
    actor, critic = ScriptedEngine(skilled(skill), name=f"actor {skill}"), ScriptedEngine(know, name="critic")
    return Roles(
        actor=ModelActor(actor, EmbeddedActorFormat(), max_tokens=64),
        critic=None if config.critic == "none" else ModelCritic(critic, WordCriticFormat()),
        engines=(actor, critic),
    )


class Trainer:
    """Writes down what it is asked to train, and trains nothing."""

    def __init__(self) -> None:
        self.asked: list[TrainSettings] = []
        self.stop_once: set[str] = set()
        self.resumed: list[Path] = []

    def begin(self, settings: TrainSettings, **_: Any) -> TrainReport:
        self.asked.append(settings)
        settings.out.mkdir(parents=True)
        (settings.out / "train.json").write_text("{}", encoding="utf-8")
        return self._report(settings.out, settings.recipe, interrupted=self._stops(settings.out))

    def resume(self, out: Path, **_: Any) -> TrainReport:
        self.resumed.append(out)
        return self._report(out, "self-improve", interrupted=self._stops(out))

    def _stops(self, out: Path) -> bool:
        found = next((name for name in self.stop_once if name in str(out)), None)
        self.stop_once.discard(found or "")
        return found is not None

    def _report(self, out: Path, recipe: str, *, interrupted: bool) -> TrainReport:
        return TrainReport(
            recipe=recipe,
            method="sft",
            model=out / "model" / "actor",
            spec=f"embedded:{out / 'model'}",
            adapter=None,
            rows=3,
            dropped={},
            steps=1,
            first_loss=1.0,
            last_loss=0.5,
            seconds=2.0,
            tokens=100,
            interrupted=interrupted,
        )


def put_in_place(made: Trainer, patch: pytest.MonkeyPatch) -> Trainer:
    """Let the command load the scripted world and train with this."""
    patch.setattr(RunConfig, "load", load)
    patch.setattr(command_module, "begin", made.begin)
    patch.setattr(command_module, "go_on", made.resume)
    patch.setattr(command_module, "find_spec", lambda name: name)
    return made


class Looped(NamedTuple):
    folder: Path
    output: Output
    trainer: Trainer

    @property
    def report(self) -> ImproveReport:
        return ImproveReport.model_validate_json((self.folder / "report.json").read_text(encoding="utf-8"))


def loop(folder: Path, *arguments: object) -> Looped:
    """Return a run that is never stopped."""
    with pytest.MonkeyPatch.context() as patch, StringIO() as out, StringIO() as err:
        made = put_in_place(Trainer(), patch)
        with redirect_stdout(out), redirect_stderr(err):
            code = run(["improve", *map(str, arguments), "--out", str(folder)])
        return Looped(folder, Output(code, out.getvalue(), err.getvalue()), made)


def report_in(output: Output) -> ImproveReport:
    (record,) = output.records
    return ImproveReport.model_validate(record)


def gist(report: ImproveReport) -> ImproveReport:
    """Return a report without what depends on the clock."""
    return report.model_copy(update={"seconds": 0.0})


def rows_in(folder: Path, stage: str) -> list[dict[str, Any]]:
    text = (folder / "stages" / stage / "rows" / "train.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def actor_of(folder: Path, stage: str) -> str:
    config = json.loads((folder / "stages" / stage / "run" / "run.json").read_text(encoding="utf-8"))["config"]
    return str(config["actor"])
