from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.training.folders import (
    begin_run,
    check_new,
    disk_room,
    given_back,
    read_report,
    read_run,
    write_report,
)
from actorcritic.training.settings import TrainReport, TrainSettings


def settings(out: Path) -> TrainSettings:
    return TrainSettings(
        recipe="rft", data=Path("/data"), model="/model", out=out, epochs=2.0, options={"mask": "0.4", "keep": 2}
    )


def report(out: Path) -> TrainReport:
    return TrainReport(
        recipe="rft",
        method="sft",
        model=out / "model" / "actor",
        spec=f"embedded:{out / 'model'}",
        adapter=out / "adapter",
        rows=3,
        dropped={"odd": 1},
        steps=2,
        first_loss=1.5,
        last_loss=None,
        seconds=1.0,
        tokens=10,
    )


def test_settings_come_back_even_from_a_folder_that_moved(tmp_path: Path) -> None:
    begin_run(settings(tmp_path / "a"), "digest")
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_run(tmp_path / "b") == (settings(tmp_path / "b"), "digest")


def test_a_report_comes_back_even_from_a_folder_that_moved(tmp_path: Path) -> None:
    begin_run(settings(tmp_path / "a"), "digest")
    assert read_report(tmp_path / "a") is None
    write_report(report(tmp_path / "a"), tmp_path / "a")
    assert read_report(tmp_path / "a") == report(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_report(tmp_path / "b") == report(tmp_path / "b")


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    check_new(tmp_path / "new")
    check_new(tmp_path)
    begin_run(settings(tmp_path / "run"), "digest")
    with pytest.raises(InputError, match=r"holds a training run already: go on with --resume"):
        check_new(tmp_path / "run")
    with pytest.raises(InputError, match="is not an empty folder"):
        check_new(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not an empty folder"):
        check_new(tmp_path / "file")


def test_without_a_run_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no training run: begin one with --out"):
        read_run(tmp_path)
    (tmp_path / "train.json").write_text("{")
    with pytest.raises(InputError, match="cannot read"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing file data/0"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 2558016 vs 2557908"),
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line_that_says_how_to_go_on(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no room left on the disk of .*--resume") as caught, disk_room(tmp_path):
        raise error
    assert caught.value.__cause__ is error and "\n" not in str(caught.value)


def test_a_full_disk_is_seen_behind_another_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no room left"), disk_room(tmp_path):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise ValueError("could not save") from error


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), RuntimeError("shape"), InputError("x")])
def test_any_other_error_passes(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, disk_room(tmp_path):
        raise error
    assert caught.value is error


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*file/run: Not a directory"):
        begin_run(settings(tmp_path / "file" / "run"), "digest")


def test_no_draft_is_left_where_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match=r"cannot write to .*: No space left on device"):
        begin_run(settings(tmp_path), "digest")
    check_new(tmp_path)


@pytest.mark.parametrize("error", [InputError("no row is left"), EngineUnavailable("no such model")])
@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_is_refused_before_its_first_step_gives_its_folder_back(
    error: Exception, there: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    with pytest.raises(type(error)), given_back(folder):
        begin_run(settings(folder), "digest")
        (folder / "log.jsonl").touch()
        (folder / "checkpoints").mkdir()
        raise error
    assert folder.exists() == there
    check_new(folder)


def test_a_run_that_has_learnt_something_keeps_its_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError), given_back(tmp_path / "run"):
        begin_run(settings(tmp_path / "run"), "digest")
        (tmp_path / "run" / "log.jsonl").write_text("{}\n")
        raise InputError("x")
    with pytest.raises(KeyboardInterrupt), given_back(tmp_path / "other"):
        begin_run(settings(tmp_path / "other"), "digest")
        raise KeyboardInterrupt
    for name in ("run", "other"):
        assert read_run(tmp_path / name) == (settings(tmp_path / name), "digest")


@pytest.mark.parametrize(
    "facts",
    [
        {"version": 1},
        {"version": 1, "digest": "d", "settings": []},
        {"version": 1, "digest": "d", "settings": {"data": "d", "moon": 1}},
    ],
)
def test_settings_of_something_else_are_refused(facts: object, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="is no training run's"):
        read_run(tmp_path)


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    begin_run(settings(tmp_path), "digest")
    path = tmp_path / "train.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(InputError, match="of another version"):
        read_run(tmp_path)
