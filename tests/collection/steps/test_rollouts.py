"""Completions from every step: how many come out right, and a student in an expert's place."""

from __future__ import annotations

from pathlib import Path

from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.types import GenerateRequest
from tests.collection.world import collect, episode_of, made, players
from tests.export.log import exported, rows_of


def after_a_right_step(request: GenerateRequest) -> str:
    """Come out right from `3 * 4 = 12`, wrong from anywhere else."""
    return "So \\boxed{10}." if "12" in request.prompt.prefill else "So \\boxed{9}."


def test_every_prefix_is_completed_n_times(run: Path) -> None:
    who = players(after_a_right_step)
    collect(run, "step-rollouts:n=3", who)
    labels = {trial: one["successes"] for trial, one in made(run, "step-rollouts", "apples")}
    assert labels == {0: [3, 3], 1: [3, 3], 2: [0, 3], 3: [0, 0]}
    assert isinstance(who.actor.engine, ScriptedEngine)
    apples = [call for call in who.actor.engine.calls if "Ann has" in str(call.request.prompt.content)]
    assert len(apples) == 4 * 3, "nothing is left to complete after the last step"
    assert len({call.request.seed for call in apples}) == len(apples)


def test_it_stops_at_a_dead_step_if_asked(run: Path) -> None:
    collect(run, "step-rollouts:n=2,until=dead,attempts=wrong", players(after_a_right_step))
    assert made(run, "step-rollouts", "apples") == [(3, {"rollouts": 2, "successes": [0]})]


def test_the_labels_reach_the_export(run: Path) -> None:
    collect(run, "step-rollouts:n=2,attempts=right", players(after_a_right_step))
    rows = rows_of(exported("prm:labels=soft", episode_of(run, "apples")))
    assert [row["labels"] for row in rows if row["completions"] == ["3 * 4 = 12", "12 - 2 = 10"]] == [[1.0, 1.0]]


def test_a_student_goes_on_from_every_lth_state(run: Path) -> None:
    collect(run, "resimulate:every=1,m=2", players(lambda request: "End.\n\n\\boxed{18}."))
    ((trial, one),) = made(run, "resimulate", "bus")
    assert (trial, one["student"], one["every"]) == (0, "scripted:stub-actor", 1)
    assert [(state["at"], state["faithful"], [r["correct"] for r in state["rollouts"]]) for state in one["states"]] == [
        (0, True, [True, True]),
        (1, True, [True, True]),
    ]
    second = one["states"][1]["rollouts"][0]["solution"]
    assert second["steps"][0]["text"] == "20 - 7 = 13" and second["kept"] == 1


def test_the_students_states_reach_the_export(run: Path) -> None:
    collect(run, "resimulate:every=1,m=1", players(lambda request: "End.\n\n\\boxed{18}."))
    ((_, one),) = made(run, "resimulate", "bus")
    assert len(one["states"]) == 2
