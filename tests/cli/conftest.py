"""A command line whose models are the scripted world: everything else is the real thing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from actorcritic.cli.app import run
from actorcritic.cli.runs import RunConfig
from actorcritic.loading import Roles
from actorcritic.reward_model import EngineRewardModel
from tests.graphs.world import world
from tests.scoring import ScoringDouble

if TYPE_CHECKING:
    from tests.cli.improving import Trainer


class Output(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Output]


def short_steps(steps: Sequence[str]) -> object:
    """Score steps: the shorter the better."""
    scores = [1 / (1 + len(step)) for step in steps]
    return {"score": min(scores), "steps": scores}


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch) -> list[Roles]:
    """Make every run load the scripted pair; the list holds what was loaded."""
    loaded: list[Roles] = []

    def load(config: RunConfig) -> Roles:
        actor, critic = world()
        reward_model = EngineRewardModel(ScoringDouble(short_steps)) if config.reward_model is not None else None
        loaded.append(
            Roles(
                actor=actor,
                critic=None if config.critic == "none" else critic,
                engines=(actor.engine, critic.engine, *((reward_model.engine,) if reward_model else ())),
                reward_model=reward_model,
            )
        )
        return loaded[-1]

    monkeypatch.setattr(RunConfig, "load", load)
    return loaded


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], roles: list[Roles]) -> Command:
    """Run the command line in this process."""

    def call(*arguments: object) -> Output:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return call


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """Write three problems, one without a checker and one of them unsolved by greedy play."""
    path = tmp_path / "problems.jsonl"
    lines = [
        {"id": "a", "problem": "Use 7, 13 and 14 to make 15.", "checker": "countdown"},
        {"id": "b", "problem": "Use 3, 5, 8 and 11 to make 24."},
        {"id": "c", "problem": [{"role": "user", "content": "Use 2, 3 and 4 to make 24."}], "meta": {"level": 1}},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where a comparison without --out may make its folder."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Put a trainer that trains nothing in the place of the real one."""
    from tests.cli.improving import Trainer, put_in_place  # noqa: PLC0415 - which imports this module

    return put_in_place(Trainer(), monkeypatch)


@pytest.fixture
def start(capsys: pytest.CaptureFixture[str], trainer: Trainer) -> Command:
    """Return `improve` with that trainer."""

    def call(*arguments: object) -> Output:
        code = run(["improve", *map(str, arguments)])
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return call
