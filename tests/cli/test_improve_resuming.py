"""`actorcritic improve` stopped anywhere goes on, does nothing twice and ends the same."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actorcritic.cli import improve_stages
from actorcritic.cli.improve_folder import ImproveFolder
from actorcritic.cli.improve_stages import Stages
from actorcritic.export.mixing import Part, mix_exports
from actorcritic.export.pipeline import Export
from actorcritic.export.recipe import Columns
from actorcritic.loading import PACKAGED
from actorcritic.training.improve.report import ImproveReport
from tests.cli.improving import (
    LEAST,
    TINY,
    Start,
    Trainer,
    gist,
    loop,
    report_in,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ImproveReport:
    """Return what a run comes to that is never stopped."""
    return loop(tmp_path_factory.mktemp("whole") / "run", *TINY).report


@pytest.mark.parametrize("number", [0, 4, 6, 8, 13])
def test_it_goes_on_from_every_stage(
    number: int, whole: ImproveReport, start: Start, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of a stage, which has done its work and has no mark."""
    work = Stages._do
    done: list[str] = []

    def broken(self: Stages, stage: Any) -> Any:
        result = work(self, stage)
        done.append(stage.name)
        if len(done) == number + 1:
            raise KeyboardInterrupt
        return result

    folder = tmp_path / "run"
    monkeypatch.setattr(Stages, "_do", broken)
    first = start(*TINY, "--out", folder)
    assert first.code == 130 and f"actorcritic improve --resume {folder}" in first.err
    monkeypatch.setattr(Stages, "_do", work)
    refused = start("--resume", folder, "--rounds", 9)
    assert refused.code == 2 and "leave out --rounds" in refused.err
    again = start("--resume", folder, "--json")
    assert again.code == 0
    found, expected = gist(report_in(again)), gist(whole)
    assert found.rows == expected.rows and found.paired == expected.paired
    assert len({settings.out for settings in trainer.asked}) == len(trainer.asked), "no model is begun twice"
    finished = re.findall(r"^\d+ of \d+: (\S+)$", again.err, re.MULTILINE)
    assert not set(finished) & set(done[:number]), "no finished stage is done again"


def test_a_collection_that_broke_off_is_paid_for_once(
    whole: ImproveReport, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log cut in the middle, as a kill leaves it."""
    folder = tmp_path / "run"
    start(*TINY, "--out", folder)
    for stage in ("critique/round-1/seed-0/samples", "critique/round-1/seed-0/evaluate"):
        place = folder / "stages" / stage
        (place / "done.json").unlink()
        log = next(place.rglob("events/main.jsonl"))
        data = log.read_bytes()
        log.write_bytes(data[: len(data) // 2])
    again = start("--resume", folder, "--json")
    assert again.code == 0 and gist(report_in(again)).rows == gist(whole).rows


def test_training_that_is_stopped_goes_on(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer.stop_once = {"sft/round-0"}
    assert start(*TINY, "--out", folder).code == 130
    assert start("--resume", folder).code == 0
    assert trainer.resumed == [folder / "stages" / "sft/round-0/seed-0/train/out"]
    # A run that is done says so again, and does nothing.
    count = len(trainer.asked)
    assert start("--resume", folder, "--json").code == 0 and len(trainer.asked) == count


def test_seconds_are_those_of_all_processes(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer.stop_once = {"sft/round-0"}
    first = report_in(start(*TINY, "--out", folder, "--json")).seconds
    whole = report_in(start("--resume", folder, "--json")).seconds
    assert 0 < first < whole == report_in(start("--resume", folder, "--json")).seconds
    (folder / "seconds").unlink()  # as an earlier version left it
    assert report_in(start("--resume", folder, "--json")).seconds == whole


def test_a_round_without_a_row_is_left_out_and_said_and_the_others_go_on(
    start: Start, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(parts: Sequence[Part], *, seed: int) -> Export:
        export = mix_exports(parts, seed=seed)
        none: dict[str, list[Columns]] = {"train": [], "validation": []}
        # Of the methods here the critic's rows are the ones that have no worked solution among them.
        return replace(export, rows=none, drops={"all wrong": 3}) if len(parts) == 1 else export

    monkeypatch.setattr(improve_stages, "mix_exports", without)
    folder = tmp_path / "run"
    rounds = ("--task", "countdown-3", "--rounds", 2, "--methods", "vanilla,critic")
    done = start(*rounds, *LEAST, "--out", folder)
    assert done.code == 1 and "Traceback" not in done.err
    assert "critic/round-1/seed-0: no row to learn from, so nothing was trained; dropped: 3 all wrong." in done.out
    assert [settings.recipe for settings in trainer.asked] == ["self-improve"] * 2
    again = start("--resume", folder, "--json")
    report = report_in(again)
    assert again.code == 1 and len(trainer.asked) == 2
    assert {(row.method, row.round) for row in report.rows} == {("base", 0), ("vanilla", 1), ("vanilla", 2)}
    assert report.without_rows == {f"critic/round-{number}/seed-0": {"all wrong": 3} for number in (1, 2)}
    assert set(report.models) == {"vanilla"}


def test_the_folder_may_move(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    trainer.stop_once = {"critique/round-1"}
    start(*TINY, "--out", tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    done = start("--resume", tmp_path / "there", "--json")
    assert done.code == 0 and all(str(tmp_path / "there") in spec for spec in report_in(done).models.values())


def test_it_goes_on_from_another_place(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PACKAGED["embedded"], tmp_path / "pair")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Stages, "run", lambda self: None)
    start("--task", "countdown", "--actor", "embedded:pair", "--critic", "hf:pair/critic", "--out", "run")
    with ImproveFolder(tmp_path / "run") as made:
        assert made.config.actor == f"embedded:{tmp_path}/pair"
        assert made.config.critic == f"hf:{tmp_path}/pair/critic"


def test_one_process_at_a_time(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(*TINY, "--out", folder)
    with ImproveFolder(folder):
        done = start("--resume", folder)
    assert done.code == 2 and "is being worked on by another process" in done.err
