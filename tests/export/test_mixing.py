"""Several exports as one: weights, counts, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.mixing import Part, mix_exports
from actorcritic.export.pipeline import Export
from actorcritic.export.writing import write_export
from tests.export.log import attempt, episode, exported, rows_of, solved


def export_of(count: int, name: str = "p", recipe: str = "self-improve") -> Export:
    """Return as many rows, all for training, and one drop each."""
    return exported(
        recipe,
        *(
            episode(
                attempt(0, solved(f"{n} * 1 = {n}"), correct=True),
                attempt(1, solved("0"), correct=False),
                name=f"{name}{n}",
                text=f"What is {n} times 1, {name}?",
            )
            for n in range(count)
        ),
        share=1.0,
    )


@given(st.integers(1, 8), st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.25]), st.integers(0, 3))
def test_a_weight_is_how_often_rows_stand(count: int, weight: float, seed: int) -> None:
    one, other = export_of(count, "a"), export_of(3, "b")
    mixed = mix_exports([Part(export=one, weight=weight), Part(export=other)], seed=seed)
    problems = [str(row["prompt"]) for row in rows_of(mixed)]
    for row in rows_of(one):
        assert int(weight) <= problems.count(str(row["prompt"])) <= int(weight) + 1
    assert len(problems) == int(weight) * count + round((weight - int(weight)) * count) + 3
    assert mixed == mix_exports([Part(export=one, weight=weight), Part(export=other)], seed=seed)


def test_it_is_written_like_any_export(tmp_path: Path) -> None:
    mixed = mix_exports([Part(export=export_of(2, "a")), Part(export=export_of(3, "b"))])
    manifest = write_export(mixed, tmp_path / "x")
    assert mixed.drops == {"wrong": 5} and mixed.run.problems == 5
    assert manifest["recipe"] == "self-improve" and manifest["oracle"] is False
    lines = (tmp_path / "x" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["provenance"]["problem"] for line in lines] == ["a0", "a1", "b0", "b1", "b2"]


def test_what_does_not_mix() -> None:
    with pytest.raises(InputError, match="different recipes"):
        mix_exports([Part(export=export_of(1)), Part(export=export_of(1, recipe="rft"))])
    with pytest.raises(InputError, match="at least 0, not -1"):
        mix_exports([Part(export=export_of(1), weight=-1)])
