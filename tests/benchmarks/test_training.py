"""What the benchmark of training reckons and refuses; it trains nothing here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.training.improve.outcomes import Answered, Outcome
from tests.benchmarks.training.__main__ import main
from tests.benchmarks.training.tables import actor_rows, percent, signed, table


def outcome(problem: str, *, greedy: bool, samples: list[bool]) -> Outcome:
    alone = Answered(right=greedy, samples=samples, majority=greedy, tokens=9)
    return Outcome(problem=problem, alone=alone, critic=alone.model_copy(update={"right": True}))


def test_a_row_has_its_interval_and_its_paired_difference() -> None:
    before = [outcome(str(at), greedy=at < 10, samples=[at < 10] + [False] * 4) for at in range(40)]
    after = [outcome(str(at), greedy=at < 20, samples=[at < 20] * 5) for at in range(40)]
    rows, text = actor_rows({"base": before, "dpo": after}, ("accuracy", "accuracy_critic", "pass_1", "pass_5"))
    base, trained = rows
    assert base["accuracy"]["value"] == 0.25 and base["pass_1"]["value"] == 0.05 and base["pass_5"]["value"] == 0.25
    assert base["accuracy"]["low"] < 0.25 < base["accuracy"]["high"] and "accuracy_gain" not in base
    assert trained["accuracy_gain"]["value"] == 0.25 and trained["accuracy_gain"]["low"] > 0
    assert trained["accuracy_critic_gain"]["value"] == 0 and trained["pass_1_gain"]["value"] == 0.45
    lines = text.splitlines()
    assert lines[2].startswith("| `base` | 25.0 ± ") and lines[4].startswith("| `dpo` - `base` |")
    assert len({line.count("|") for line in lines}) == 1


def test_figures_are_in_per_cent() -> None:
    assert percent({"value": 0.5, "low": 0.4, "high": 0.6}) == "50.0 ± 10.0" and percent({"value": None}) == "–"
    assert signed({"value": -0.012, "low": -0.03, "high": 0.006}) == "-1.2 (-3.0 to +0.6)"
    assert table(["a", "b"], [["x", "1"]]).splitlines() == ["| a | b |", "|---|---:|", "| x | 1 |"]


def test_a_folder_holds_one_set_of_sizes(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--out", str(tmp_path), "--parts", "nonsense"])
    assert refused.value.code == 2 and not (tmp_path / "sizes.json").exists()
    (tmp_path / "sizes.json").write_text(json.dumps({"limit": 7}), encoding="utf-8")
    with pytest.raises(SystemExit, match="begun with other sizes"):
        main(["--out", str(tmp_path), "--parts", "dpo"])
