"""Critique-RL: first attempts as questions to a critic, with what its rewards are made from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.trajectory.provenance import Provenance
from actorcritic.types import Action
from tests.export.log import MODELS, attempt, content, episode, exported, rows_of, solved

LOT = (
    attempt(0, solved("6 * 7 = 42", answer="42"), correct=True),
    attempt(1, solved("6 * 7 = 48", answer="48"), correct=False),
    attempt(2, solved("6 * 7 = 41", answer="41"), correct=False, action=Action.REVISE, parent=1),
    attempt(3, solved("6 * 7 = 36", answer="36"), correct=False),
)


@pytest.mark.parametrize(
    ("text", "stage", "reward"),
    [
        ("critique-rl", 1, "verdict"),
        ("critique-rl:reward=delta", 1, "verdict"),
        ("critique-rl:stage=2", 2, "refine"),
        ("critique-rl:stage=2,reward=delta", 2, "delta"),
        ("critique-rl:stage=2,reward=correct", 2, "correct"),
    ],
)
def test_acceptance(text: str, stage: int, reward: str) -> None:
    """Section 4: every origin that the rewards tell apart is there, and only what the actor wrote by itself."""
    export = exported(text, replace(episode(*LOT), provenance=Provenance(models=MODELS)))
    rows = rows_of(export)
    assert [row["attempt_correct"] for row in rows] == [True, False, False]
    assert export.drops == {"written after a critique": 1}
    for row in rows:
        assert (row["stage"], row["reward"], row["actor"], row["answer"]) == (stage, reward, "stub-actor", "42")
        assert str(row["attempt"]) in content(row["prompt"])
        assert "Correctness of the final answer: <Correct or Wrong>" in content(row["prompt"])
    assert export.trainer_settings == {"num_generations": 4, "beta": 0.01, "num_iterations": 2, "temperature": 0.7}


def test_caps_and_balance() -> None:
    assert exported("critique-rl:cap=1", episode(*LOT)).drops["over the cap of its problem and label"] == 1
    assert exported("critique-rl:ratio=1", episode(*LOT)).drops["thinned out: too many with its verdict"] == 1
    assert [row["actor"] for row in rows_of(exported("critique-rl:cap=1", episode(*LOT)))] == ["", ""]
