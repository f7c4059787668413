"""Files that readers of JSON lines take as they are, and a manifest that says how they came about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from actorcritic.errors import InputError
from actorcritic.export.pipeline import Order, export_run
from actorcritic.export.recipes import RECIPES
from actorcritic.export.writing import write_export
from tests.export.log import Words, attempt, episode, exported, rows_of, setting_of, solved, write_log


def test_files_hold_the_rows_and_the_manifest_their_hashes(tmp_path: Path) -> None:
    recipe, setting = setting_of("rft", seed=3)
    export = export_run(write_log(tmp_path / "run"), Order(recipe=recipe, setting=setting, share=0.5))
    manifest = json.loads(json.dumps(write_export(export, tmp_path / "out")))
    assert manifest == json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.json", "train.jsonl", "validation.jsonl"}
    for split, rows in export.rows.items():
        data = (tmp_path / "out" / f"{split}.jsonl").read_bytes()
        assert [json.loads(line) for line in data.splitlines()] == list(rows)
        assert manifest["files"][f"{split}.jsonl"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert manifest["counts"]["rows"] == {split: len(rows) for split, rows in export.rows.items()}
    assert sum(manifest["counts"]["problems_with_rows"].values()) == 3
    assert manifest["counts"]["dropped"] == dict(export.drops) and manifest["counts"]["problems"] == 6
    assert manifest["options"]["cap"] == 10 and manifest["seed"] == 3 and manifest["oracle"] is False
    assert manifest["run"]["ids"] == ["log"] and manifest["run"]["unfinished_problems"] == 1
    licences = {model["model"]: model["licence"] for model in manifest["run"]["models"]}
    assert licences == {"stub-actor": "Apache-2.0", "stub-critic": "unknown"}
    assert manifest["filters"] == ["correct", "distinct", "no leak"]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_same_export_is_the_same_bytes(tmp_path: Path, name: str) -> None:
    recipe, setting = setting_of(name, tokenizer=Words())
    for folder in ("a", "b"):
        run = write_log(tmp_path / folder / "run")
        write_export(export_run(run, Order(recipe=recipe, setting=setting, share=0.5)), tmp_path / folder / "out")
    for path in (tmp_path / "a" / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "out" / path.name).read_bytes()


def test_an_empty_split_has_no_file(tmp_path: Path) -> None:
    export = exported("kto", episode(attempt(0, solved("a"), correct=True)), share=1.0)
    write_export(export, tmp_path)
    assert not (tmp_path / "validation.jsonl").exists()


def test_an_export_is_never_written_over(tmp_path: Path) -> None:
    export = exported("kto", episode(attempt(0, solved("a"), correct=True)))
    write_export(export, tmp_path / "out")
    with pytest.raises(InputError, match="holds an export already"):
        write_export(export, tmp_path / "out")
    (tmp_path / "file").write_text("", encoding="utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"is a file|cannot write"):
            write_export(export, folder)


def test_strange_characters_survive_or_become_marks(tmp_path: Path) -> None:
    export = exported("kto", episode(attempt(0, solved("é\u2028\x00 \ud800"), correct=True)), share=1.0)
    write_export(export, tmp_path)
    (row,) = [json.loads(line) for line in (tmp_path / "train.jsonl").read_bytes().split(b"\n") if line]
    assert row["completion"][0]["content"] == "é\u2028\x00 ?"
    assert len(rows_of(export)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_datasets_loads_what_was_written(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    recipe, setting = setting_of(name, tokenizer=Words())
    export = export_run(write_log(tmp_path / "run"), Order(recipe=recipe, setting=setting, share=0.5))
    write_export(export, tmp_path / "out")
    files = {split: str(tmp_path / "out" / f"{split}.jsonl") for split, rows in export.rows.items() if rows}
    by_folder = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "one"))
    by_files = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "two"))
    for loaded in (by_folder, by_files):
        assert {split: len(rows) for split, rows in loaded.items()} == {s: len(r) for s, r in export.rows.items() if r}
        for split, rows in loaded.items():
            assert list(rows) == list(export.rows[split])
