"""A line that a crash tore off is left out by every command, and every command says so."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from actorcritic.export.pipeline import TORN
from tests.cli.conftest import Command

tables = pytest.mark.skipif(find_spec("duckdb") is None, reason="duckdb is in the extra `table`")
REST = b'{"version":1,"kind'


@pytest.mark.parametrize(
    "words",
    [
        ("export", "RUN", "--recipe", "rft", "--dry-run"),
        ("solve", "--resume", "RUN"),
        ("collect", "--resume", "RUN"),
        ("collect", "--from", "RUN", "--step", "score"),
        pytest.param(("table", "RUN"), marks=tables),
        pytest.param(("query", "RUN", "select count(*) from attempts"), marks=tables),
    ],
)
@pytest.mark.parametrize("place", ["events/main.jsonl", "outcomes/late.jsonl"])
def test_whoever_reads_a_torn_log_is_told(
    words: tuple[str, ...], place: str, command: Command, problems: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert command("collect", "--problems", problems, "--samples", 2, "--out", folder).code == 0
    arguments = [str(folder) if word == "RUN" else word for word in words]
    assert "never finished" not in command(*arguments).err
    (folder / place).parent.mkdir(exist_ok=True)
    with open(folder / place, "ab") as file:
        file.write(REST)
    done = command(*arguments)
    assert done.code == 0
    said = f"note: the last line of {place} was never finished: {len(REST)} bytes are left out\n"
    assert done.err.count(said) == 1


@tables
def test_tables_that_are_there_already_are_of_a_torn_log_too(command: Command, problems: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command("collect", "--problems", problems, "--samples", 2, "--out", folder)
    with open(folder / "events" / "main.jsonl", "ab") as file:
        file.write(REST)
    for _ in range(2):
        assert "never finished" in command("query", folder, "select count(*) from attempts").err


def test_a_manifest_counts_torn_lines(command: Command, problems: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command("collect", "--problems", problems, "--samples", 2, "--out", folder)
    for name, count in (("whole", None), ("torn", 1)):
        assert command("export", folder, "--recipe", "kto", "--out", tmp_path / name).code == 0
        manifest = json.loads((tmp_path / name / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["counts"]["dropped"].get(TORN) == count
        with open(folder / "events" / "main.jsonl", "ab") as file:
            file.write(REST)
