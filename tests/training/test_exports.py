from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.errors import InputError
from actorcritic.training.exports import read_training_data
from tests.training.exported import PROVENANCE, solved_rows, write_rows


def test_rows_settings_and_conditions_are_read(tmp_path: Path) -> None:
    folder = write_rows(
        tmp_path / "e",
        "leti",
        [{"text": "a"}],
        validation=[{"text": "b"}, {"text": "c"}],
        trainer_settings={"beta": 1},
        conditions={"special_tokens": ["<|good|>"]},
    )
    data = read_training_data(folder, "leti")
    assert [row["text"] for row in data.rows] == ["a"]
    assert [row["text"] for row in data.validation] == ["b", "c"]
    assert (data.form, data.dataset_type, data.oracle) == ("sft", "language-modeling", False)
    assert data.trainer_settings == {"beta": 1}
    assert data.marks == ("<|good|>",)


def test_the_digest_changes_with_the_rows(tmp_path: Path) -> None:
    one = read_training_data(write_rows(tmp_path / "1", "rft", solved_rows()), "rft")
    same = read_training_data(write_rows(tmp_path / "2", "rft", solved_rows()), "rft")
    other = read_training_data(write_rows(tmp_path / "3", "rft", solved_rows(2)), "rft")
    assert one.digest == same.digest != other.digest


def test_a_folder_that_the_export_did_not_write_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"holds no export.*actorcritic export --out"):
            read_training_data(folder, "rft")


def test_another_recipes_rows_are_refused(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "e", "rft", solved_rows())
    with pytest.raises(InputError, match="holds rows of the recipe rft, not cft"):
        read_training_data(folder, "cft")
    with pytest.raises(InputError, match="unknown recipe 'x'; choose from: agent-q"):
        read_training_data(folder, "x")
    with pytest.raises(InputError, match="unknown form 'y'"):
        read_training_data(write_rows(tmp_path / "f", "rft", solved_rows(), form="y"), "rft")


def test_rows_that_were_changed_after_the_export_are_refused(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "e", "rft", solved_rows())
    path = folder / "train.jsonl"
    path.write_text(path.read_text().replace("21", "12"))
    with pytest.raises(InputError, match="is not the file that the export wrote"):
        read_training_data(folder, "rft")
    path.unlink()
    with pytest.raises(InputError, match="cannot read"):
        read_training_data(folder, "rft")


def test_a_row_that_was_not_searched_for_leaks_is_refused(tmp_path: Path) -> None:
    rows = [*solved_rows(), {**solved_rows()[0], "provenance": {**PROVENANCE, "filters": ["correct"]}}]
    with pytest.raises(InputError, match="row 7: has not been searched for leaks"):
        read_training_data(write_rows(tmp_path / "e", "rft", rows), "rft")


def test_an_oracle_run_has_to_be_asked_for(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "e", "rft", solved_rows(), oracle=True)
    with pytest.raises(InputError, match=r"oracle run.*--allow-oracle"):
        read_training_data(folder, "rft")
    assert read_training_data(folder, "rft", allow_oracle=True).oracle


def test_a_manifest_that_says_nothing_of_an_oracle_counts_as_one(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "e", "rft", solved_rows())
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["oracle"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="oracle run"):
        read_training_data(folder, "rft")


def test_without_a_row_to_train_on_there_is_no_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no row to train on"):
        read_training_data(write_rows(tmp_path / "e", "rft", [], validation=solved_rows()), "rft")
