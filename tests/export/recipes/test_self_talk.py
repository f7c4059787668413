"""Self-talk: monologues that mend their own steps and end right."""

from __future__ import annotations

import pytest

from actorcritic.errors import InputError
from actorcritic.trajectory.attempts import Derived
from actorcritic.types import JsonValue
from tests.export.log import attempt, content, episode, exported, rows_of, solved

TEXT = "6 * 7 = 48. Wait, six sevens are 42. The answer is 42."
BAD = attempt(0, solved("6 * 7 = 48", answer="48"), correct=False)


def link(index: int, verdict: str = "correct") -> JsonValue:
    return {"text": "a step", "verdict": verdict, "critique": None, "index": index}


def talk(text: str = TEXT, *chain: JsonValue, correct: bool | None = True, trial: int | None = 0) -> Derived:
    links = list(chain or (link(0, "incorrect"), link(0)))
    return Derived(step="self-talk", trial=trial, payload={"by": "m", "chain": links, "text": text, "correct": correct})


def test_acceptance() -> None:
    """Test-time section 1.6: the smoothed chain answers the question alone, if its final answer is right."""
    export = exported("self-talk", episode(BAD, derived=(talk(), talk("6 * 7 = 48. The answer is 48."))))
    (row,) = rows_of(export)
    assert content(row["completion"]) == TEXT and content(row["prompt"]) == "What is six times seven?"
    assert row["corrections"] == 1 and export.drops == {"does not end with the gold answer": 1}


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (talk("The answer is 41.", correct=True), "does not end with the gold answer"),
        (talk("Nothing at all", correct=None), "does not end with the gold answer"),
        (talk(TEXT, link(0), link(1, "incorrect")), "a wrong step without a correction"),
        (talk(TEXT, link(0, "incorrect"), link(1)), "a wrong step without a correction"),
        (talk(f"As the critique says, {TEXT}"), "speaks of help that the prompt does not hold"),
        (talk(trial=None), "of no attempt"),
    ],
)
def test_what_is_no_target(made: Derived, reason: str) -> None:
    assert exported("self-talk", episode(BAD, derived=(made,))).drops == {reason: 1}


def test_chains_without_a_correction() -> None:
    one = episode(BAD, derived=(talk("Six sevens are 42. The answer is 42.", link(0)),))
    assert exported("self-talk", one).total == 1
    assert exported("self-talk:chains=corrected", one).drops == {"nothing to correct": 1}


def test_each_once_and_not_too_many() -> None:
    lot = (talk(), talk(), *(talk(f"{i}. {TEXT}") for i in range(3)))
    export = exported("self-talk:cap=2", episode(BAD, derived=lot))
    assert export.total == 2
    assert export.drops == {"same as another row of its problem": 1, "over the cap of its problem": 2}


def test_a_run_that_lacks_something_is_told_what_to_collect() -> None:
    with pytest.raises(InputError, match=r"--step self-talk` collects them"):
        exported("self-talk", episode(BAD))
