"""`actorcritic improve` says in one line what it cannot do, before anything is spent, and loses nothing."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from actorcritic.cli import improve as command_module
from actorcritic.cli.improve_stages import Stages
from actorcritic.cli.runs import RunConfig
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.loading import Roles
from tests.cli.improving import (
    TINY,
    Start,
    report_in,
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "countdown"), "give --out"),
        (("--out", "r"), "name a task with --task: countdown"),
        (("--out", "r", "--task", "countdown", "--methods", "moon"), "unknown method 'moon'"),
        (("--out", "r", "--task", "countdown", "--rounds", 0), "--rounds must be at least 1, not 0"),
        (("--out", "r", "--task", "countdown", "--eval-limit", 0), "--eval-limit must be at least 1, not 0"),
        (("--out", "r", "--task", "countdown", "--seeds", "1,1"), "--seeds takes different whole numbers"),
        (("--out", "r", "--task", "countdown", "--refinement-weight", -1), "--refinement-weight must be at least 0"),
        (("--out", "r", "--task", "countdown", "--critic", "oracle"), "a critic that is no model cannot take part"),
        (("--out", "r", "--task", "countdown", "--actor", "openai:x@http://y"), "it cannot be trained"),
        (("--out", "r", "--task", "moon"), "unknown task 'moon'; choose from: countdown"),
        (("--out", "r", "--task", "countdown", "--epochs", 0), "the number of epochs must be above 0, not 0"),
        (("--out", "r", "--task", "countdown", "--learning-rate", -1), "the learning rate must be above 0, not -1"),
        (("--out", "r", "--task", "countdown", "--batch-size", 0), "the batch size must be at least 1, not 0"),
        (("--out", "r", "--task", "countdown", "--seed", -1), "the seed must be at least 0"),
        (("--out", "r", "--task", "countdown", "--seeds", f"0,{2**32}"), "the seed must be at least 0 and below"),
        (("--out", "r", "--task", "countdown", "--device", "moon"), "unknown device 'moon'"),
        (("--out", "r", "--task", "countdown", "--actor", "embedded:moon"), "moon/actor: check the path"),
        (("--out", "r", "--task", "countdown", "--actor", "hf:./moon"), "no model folder hf:./moon"),
        (
            ("--out", "r", "--task", "countdown", "--critic", "embedded:moon", "--methods", "critic"),
            "moon/critic: check the path",
        ),
        (("--resume", "nowhere"), "holds no self-improvement run"),
        (("--resume", "r", "--task", "countdown"), "--resume takes the task and all options from the folder"),
    ],
)
def test_one_clear_line_for_a_mistake(
    start: Start, arguments: tuple[object, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = start(*arguments)
    assert done.code == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "r").exists(), "nothing is written"


@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_cannot_begin_leaves_its_folder_free(
    there: bool, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(config: RunConfig) -> Roles:
        raise EngineUnavailable("cannot load the model")

    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(RunConfig, "load", unavailable)
        first = start(*TINY, "--out", folder)
    assert first.code == 2 and first.err.endswith("error: cannot load the model\n")
    assert folder.exists() == there
    assert start(*TINY, "--out", folder).code == 0


def test_what_is_measured_is_shown_where_a_later_stage_cannot_be_done(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Stages, stage: Any) -> Any:
        raise InputError("there is no room left on the disk")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Stages, "_train", full)
        first = start(*TINY, "--out", folder, "--json")
    assert first.code == 2 and first.err.endswith("error: there is no room left on the disk\n")
    assert {row.method for row in report_in(first).rows} == {"base"}
    again = start("--resume", folder, "--json")
    assert again.code == 0 and {row.method for row in report_in(again).rows} == {"base", "sft", "critique"}


def test_a_mark_that_cannot_be_written_is_one_line(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("actorcritic.cli.improve_folder.os.replace", full)
    done = start(*TINY, "--out", tmp_path / "run")
    assert done.code == 2 and done.err.count("\n") == 1 and "improve.json: No space left on device" in done.err
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "run"])


def test_a_folder_in_use_is_left_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine", encoding="utf-8")
    done = start("--task", "countdown", "--out", tmp_path)
    assert done.code == 2 and "is not an empty folder" in done.err


def test_training_needs_trl(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "find_spec", lambda name: None)
    done = start("--task", "countdown", "--out", tmp_path / "r")
    assert done.code == 2 and "pip install 'actorcritic[train]'" in done.err


def test_a_report_that_was_changed_by_hand_is_refused(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(*TINY, "--out", folder)
    (folder / "stages/sft/round-0/seed-0/train/done.json").write_text("{}", encoding="utf-8")
    done = start("--resume", folder)
    assert done.code == 2 and "delete it to do the stage again" in done.err


def test_without_the_extra_there_is_no_picture(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "draw_rounds", lambda report, path: False)
    done = start(*TINY, "--out", tmp_path / "run")
    assert "actorcritic[plot]" in done.err and "critique against sft" in done.out
