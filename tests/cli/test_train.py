"""`actorcritic train`: one clear line for every mistake, Ctrl-C, and what it prints; training itself is played."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorcritic.cli import train as module
from actorcritic.training import libraries
from actorcritic.training.settings import Progress, TrainReport, TrainSettings
from tests.cli.conftest import Command
from tests.training.exported import solved_rows, write_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "data", "rft", solved_rows())


def report(out: Path, **more: Any) -> TrainReport:
    facts: dict[str, Any] = {
        "recipe": "rft",
        "method": "sft",
        "model": out / "model",
        "spec": f"hf:{out / 'model'}",
        "adapter": None,
        "rows": 6,
        "dropped": {"longer than 9 tokens": 2},
        "steps": 3,
        "first_loss": 2.0,
        "last_loss": 1.0,
        "seconds": 4.2,
        "tokens": 99,
    }
    return TrainReport(**{**facts, **more})


class Player:
    """Stands in for training: keeps what it was asked, and sends itself Ctrl-C where told to."""

    def __init__(self) -> None:
        self.asked: list[TrainSettings | Path] = []
        self.interrupts = 0
        self.rewarded = False
        self.alike: float | None = 0.1

    def __call__(
        self, asked: TrainSettings | Path, *, hear: Callable[[Progress], None], stopped: Callable[[], bool]
    ) -> TrainReport:
        self.asked.append(asked)
        out = asked.out if isinstance(asked, TrainSettings) else asked
        hear(Progress(step=1, steps=3, loss=2.0, seconds_left=61.0))
        assert not stopped()
        for _ in range(self.interrupts):
            os.kill(os.getpid(), signal.SIGINT)
        hear(Progress(step=2, steps=3, loss=1.5, seconds_left=30.0))
        if stopped():
            return report(out, interrupted=True, steps=2)
        hear(Progress(step=3, steps=3, loss=1.0, seconds_left=0.0, reward=0.75 if self.rewarded else None))
        return report(out, first_reward=0.25, last_reward=0.75, alike=self.alike) if self.rewarded else report(out)


@pytest.fixture
def player(monkeypatch: pytest.MonkeyPatch) -> Player:
    made = Player()
    monkeypatch.setattr(module, "begin", made)
    monkeypatch.setattr(module, "go_on", made)
    return made


def asked(data: Path, out: Path, *more: object) -> list[object]:
    return ["train", "--recipe", "rft", "--data", data, "--model", "embedded-actor", "--out", out, *more]


def test_every_option_reaches_the_settings(command: Command, player: Player, data: Path, tmp_path: Path) -> None:
    done = command(
        *asked(data, tmp_path / "out", "--lora-rank", 8, "--epochs", 2, "--learning-rate", 1e-4, "--batch-size", 4),
        *("--max-steps", 7, "--max-length", 99, "--seed", 5, "--device", "cpu", "--allow-oracle"),
        *("--option", "mask=0.4", "--option", "loss=asft"),
    )
    assert done.code == 0
    assert player.asked == [
        TrainSettings(
            recipe="rft",
            data=data,
            model="embedded-actor",
            out=tmp_path / "out",
            seed=5,
            lora_rank=8,
            epochs=2.0,
            learning_rate=1e-4,
            batch_size=4,
            max_steps=7,
            max_length=99,
            device="cpu",
            allow_oracle=True,
            options={"mask": "0.4", "loss": "asft"},
        )
    ]


def test_progress_goes_to_stderr_and_the_result_to_stdout(
    command: Command, player: Player, data: Path, tmp_path: Path
) -> None:
    done = command(*asked(data, tmp_path / "out"))
    assert done.err.splitlines() == ["step 1 of 3, loss 2.0000, 0:01:01 left", "step 3 of 3, loss 1.0000"]
    assert done.out.splitlines() == [
        "rft (sft): 6 rows, 3 steps, loss 2.0000 to 1.0000, 99 tokens in 4 s",
        "  dropped      2  longer than 9 tokens",
        f"use it as hf:{tmp_path / 'out' / 'model'}",
    ]


def test_rewards_are_told_where_there_are_any(command: Command, player: Player, data: Path, tmp_path: Path) -> None:
    player.rewarded = True
    done = command(*asked(data, tmp_path / "out"))
    assert done.err.splitlines()[-1] == "step 3 of 3, loss 1.0000, reward 0.750"
    assert "3 steps, reward 0.250 to 0.750, loss 2.0000 to 1.0000" in done.out and "the same" not in done.out
    player.alike = 0.926
    assert "in 93% of the groups all completions earned the same" in command(*asked(data, tmp_path / "more")).out


def test_json_is_one_object_and_nothing_else(command: Command, player: Player, data: Path, tmp_path: Path) -> None:
    done = command(*asked(data, tmp_path / "out", "--json"))
    assert json.loads(done.out) == {
        "recipe": "rft",
        "method": "sft",
        "model": str(tmp_path / "out" / "model"),
        "spec": f"hf:{tmp_path / 'out' / 'model'}",
        "adapter": None,
        "rows": 6,
        "dropped": {"longer than 9 tokens": 2},
        "steps": 3,
        "first_loss": 2.0,
        "last_loss": 1.0,
        "seconds": 4.2,
        "tokens": 99,
        "first_reward": None,
        "last_reward": None,
        "alike": None,
        "interrupted": False,
    }


def test_ctrl_c_saves_and_says_how_to_go_on(command: Command, player: Player, data: Path, tmp_path: Path) -> None:
    player.interrupts = 1
    before = signal.getsignal(signal.SIGINT)
    done = command(*asked(data, tmp_path / "out"))
    assert done.code == 130
    assert done.err.splitlines()[-1] == (f"interrupted; go on with: actorcritic train --resume {tmp_path / 'out'}")
    assert "use it as" not in done.out
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once(command: Command, player: Player, data: Path, tmp_path: Path) -> None:
    player.interrupts = 2
    assert command(*asked(data, tmp_path / "out")).code == 130


def test_resume_goes_on_with_the_folder_alone(command: Command, player: Player, tmp_path: Path) -> None:
    done = command("train", "--resume", tmp_path / "run")
    assert (done.code, player.asked) == (0, [tmp_path / "run"])
    for more in (("--recipe", "rft"), ("--data", tmp_path), ("--model", "m"), ("--out", tmp_path), ("--seed", 1)):
        done = command("train", "--resume", tmp_path / "run", *more)
        assert done.code == 2 and f"leave out {more[0]}" in done.err


MISTAKES: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "give --recipe, --data, --model and --out"),
    "recipe": (["--recipe", "nope"], "unknown recipe 'nope'; choose from: agent-q"),
    "other recipe": (["--recipe", "kto"], "holds rows of the recipe rft, not kto"),
    "data": (["--data", "{tmp}"], "holds no export"),
    "model": (["--model", "{tmp}/nowhere"], "no model folder"),
    "epochs": (["--epochs", "0"], "the number of epochs must be above 0"),
    "option": (["--option", "mask"], "write each option once, as NAME=VALUE"),
    "twice": (["--option", "mask=1", "--option", "mask=0"], "write each option once"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake: str, command: Command, data: Path, tmp_path: Path) -> None:
    given, words = MISTAKES[mistake]
    given = [text.replace("{tmp}", str(tmp_path)) for text in given]
    arguments = [*map(str, asked(data, tmp_path / "out")), *given] if given else ["train"]
    done = command(*arguments)
    assert done.code == 2 and done.out == ""
    assert words in done.err and len(done.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_named(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name in ("trl", "peft") else object())
    done = command(*asked(data, tmp_path / "out"))
    assert done.code == 2
    assert done.err == "error: training needs peft, trl: pip install 'actorcritic[train]'\n"
    assert not (tmp_path / "out").exists()


def test_without_a_run_there_is_nothing_to_resume(command: Command, tmp_path: Path) -> None:
    done = command("train", "--resume", tmp_path)
    assert done.code == 2 and "holds no training run" in done.err
