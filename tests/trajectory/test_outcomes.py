"""News of old trajectories is taken at any time, and disturbs neither a run at work nor a resume."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actorcritic.errors import RecordError
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.outcomes import append_outcome
from actorcritic.trajectory.reader import read_events, read_outcomes
from actorcritic.trajectory.recorder import FileRecorder, create_run
from actorcritic.types import Problem
from tests.trajectory.simulation import Parrot, Process, Setup


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_run(tmp_path, run="r", config={}, problems=[(Problem(id="p", prompt="?"), None)], created="t")
    return tmp_path


def test_the_last_word_reaches_the_episode_of_a_run_at_work(folder: Path) -> None:
    with FileRecorder(folder) as recorder:
        Process(Setup(strategy="best-of-n:n=3", trials=3), Parrot(), recorder).run()
        before = list(read_events(folder))
        append_outcome(folder, "p", 1, 1.0, by="tests", gold=True, now=lambda: "2026-01-01")
        append_outcome(folder, "p", 1, 0.0, by="tests again", gold=True, now=lambda: "2026-01-03", writer="ci")
        append_outcome(folder, "p", None, 1.0, by="user:thumb", now=lambda: "2026-01-02")
    (episode,) = read_episodes(folder)
    assert [score.by for score in episode.attempt(1).scores if score.by != "user:thumb"] == ["tests", "tests again"]
    assert episode.attempt(1).correct is False
    assert episode.best_attempt is not None and "user:thumb" in [score.by for score in episode.best_attempt.scores]
    assert episode.attempt(0).correct is None or episode.best == 1
    assert list(read_events(folder)) == before, "a resume reads what it read before"


def test_many_may_speak_at_once(folder: Path) -> None:
    with FileRecorder(folder) as recorder:
        Process(Setup(strategy="best-of-n:n=1", trials=1), Parrot(), recorder).run()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: append_outcome(folder, "p", 0, number / 50, by=f"{number}"), range(50)))
    said = sorted(int(str(event.payload["by"])) for event in read_outcomes(folder))
    assert said == list(range(50))


@pytest.mark.parametrize(
    ("problem", "score", "said"),
    [("p", 1.5, "lies in"), ("p", float("nan"), "lies in"), ("q", 1.0, "has no problem 'q'")],
)
def test_what_makes_no_sense_is_refused(folder: Path, problem: str, score: float, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        append_outcome(folder, problem, 0, score, by="x")
    assert not (folder / "outcomes").exists()


def test_a_trial_that_was_never_asked_is_refused(folder: Path) -> None:
    with FileRecorder(folder) as recorder:
        Process(Setup(strategy="best-of-n:n=2", trials=2), Parrot(), recorder).run()
        for trial in (2, -1):
            with pytest.raises(RecordError, match=f"has no trial {trial} of problem 'p'"):
                append_outcome(folder, "p", trial, 1.0, by="x")
        append_outcome(folder, "p", 1, 1.0, by="x")
    assert len(list(read_outcomes(folder))) == 1


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no run folder"):
        append_outcome(tmp_path, "p", 0, 1.0, by="x")
