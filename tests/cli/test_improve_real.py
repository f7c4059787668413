"""`actorcritic improve` with the embedded pair and TRL: nothing is scripted, everything is tiny. Slow: needs TRL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actorcritic.cli.app import run
from actorcritic.training.improve.report import ImproveReport

pytestmark = pytest.mark.slow
pytest.importorskip("trl")

TINY = ("--train-limit", "12", "--eval-limit", "6", "--dev-limit", "4", "--samples", "2", "--difficulty-samples", "1")
BASE = Path(__file__).parents[2] / "actorcritic" / "models" / "embedded"


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file  # noqa: PLC0415 - imports torch

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(("methods", "role"), [("critique", "actor"), ("critic", "critic")])
def test_a_round(methods: str, role: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    arguments = ["improve", "--task", "countdown-3", "--rounds", "1", "--methods", methods, *TINY, "--epochs", "2"]
    assert run([*arguments, "--out", str(folder), "--json"]) == 0
    report = ImproveReport.model_validate_json(capsys.readouterr().out)
    assert [(row.method, row.with_critic) for row in report.rows] == [
        ("base", False),
        ("base", True),
        (methods, False),
        (methods, True),
    ]
    place = folder / "stages" / methods / "round-1" / "seed-0"
    trained = json.loads((place / "train" / "done.json").read_text(encoding="utf-8"))
    rows = json.loads((place / "data" / "done.json").read_text(encoding="utf-8"))["rows"]
    assert trained["rows"] == sum(rows.values()), "the trainer has left no row out"
    before, after = weights(BASE / role), weights(place / "train" / "out" / "model" / role)
    assert before.keys() == after.keys()
    assert any(not value.equal(after[name]) for name, value in before.items())
    # What was trained is what was measured; the other role is the base's.
    played = json.loads((place / "evaluate" / "greedy" / "run.json").read_text(encoding="utf-8"))["config"]["actor"]
    assert ("stages" in played) == (role == "actor")
    assert run(["improve", "--resume", str(folder), "--json"]) == 0
    again = ImproveReport.model_validate_json(capsys.readouterr().out)
    assert again.rows == report.rows
