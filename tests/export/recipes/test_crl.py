"""CRL: a fixed total, a part of it judgements, and no problem in both tasks."""

from __future__ import annotations

from collections import Counter

import pytest

from actorcritic.trajectory.episodes import Episode
from tests.export.log import attempt, content, episode, exported, rows_of, solved


def both(number: int) -> Episode:
    return episode(
        attempt(0, solved(f"{number} the first way"), correct=True),
        attempt(1, solved(f"{number} the second way"), correct=False),
        text=f"Which problem is this? It has the number {number * number}.",
        name=f"p{number}",
    )


def problem_of(row: object) -> str:
    assert isinstance(row, dict) and isinstance(row["provenance"], dict)
    return str(row["provenance"]["problem"])


def test_acceptance() -> None:
    """Section 2: of 100 problems 80 are solved and 20 judged, none both; the total stays."""
    export = exported("crl", *map(both, range(100)))
    rows = rows_of(export)
    assert Counter(str(row["task"]) for row in rows) == {"gen": 80, "crl": 20}
    assert len({problem_of(row) for row in rows}) == 100
    assert Counter(str(row["label"]) for row in rows) == {"": 80, "True": 10, "False": 10}
    for row in rows:
        shown = [word for word in ("first way", "second way") if word in content(row["prompt"])]
        assert shown == {"": [], "True": ["first way"], "False": ["second way"]}[str(row["label"])]
        assert (row["answer"], row["checker"]) == ("42", "exact")


@pytest.mark.parametrize(("share", "judged"), [(0.0, 0), (0.5, 5), (1.0, 10)])
def test_the_share(share: float, judged: int) -> None:
    rows = rows_of(exported(f"crl:share={share}", *map(both, range(10))))
    assert len(rows) == 10 and sum(row["task"] == "crl" for row in rows) == judged


def test_trivial_judgements() -> None:
    easy = episode(*(attempt(i, solved(f"{i}"), correct=True) for i in range(2)))
    export = exported("crl:share=1", easy)
    assert [row["task"] for row in rows_of(export)] == ["gen"] and export.drops == {"trivial to judge": 1}
    assert [row["task"] for row in rows_of(exported("crl:share=1,trivial=kept", easy))] == ["crl"]


def test_the_seed_chooses() -> None:
    made = {
        tuple(problem_of(row) for row in rows_of(exported("crl", *map(both, range(10)), seed=seed)) if row["label"])
        for seed in range(6)
    }
    assert len(made) > 1


def test_problems_without_a_gold_side() -> None:
    bare = episode(attempt(0, solved("a"), correct=True), gold=None)
    assert exported("crl", both(1), bare).drops["problem without a gold side"] == 1
    late = episode(attempt(0, solved("a")), name="q", text="Nobody scored this one, did they?")
    assert exported("crl", both(1), late).drops["problem without an attempt that is known to be right or wrong"] == 1
