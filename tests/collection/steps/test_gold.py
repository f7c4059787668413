"""Solutions written with a hint, gold solutions in the model's own words, judges of equivalence."""

from __future__ import annotations

from pathlib import Path

from actorcritic.engines.scripted import ScriptedEngine
from tests.collection.world import asked, collect, episode_of, made, players
from tests.export.log import exported, rows_of


def test_only_problems_that_failed_are_rationalised(run: Path) -> None:
    who = players("6 coins are 30, 2 are 20.\n\nSo \\boxed{50}.")
    heard = collect(run, "rationalise", who)
    assert {name for name, done in heard.items() if done.made} == {"bus", "coins"}
    ((trial, one),) = made(run, "rationalise", "coins")
    assert (trial, one["correct"], one["solution"]["answer"]) == (0, True, "50")
    ((_, wrong),) = made(run, "rationalise", "bus")
    assert wrong["correct"] is False
    assert isinstance(who.actor.engine, ScriptedEngine)
    hinted = asked(who.actor.engine.calls[-1].request)
    assert "50" in hinted and "Bo has 6 coins" in hinted


def test_the_hint_is_in_no_row(run: Path) -> None:
    collect(run, "rationalise", players("6 coins are 30, 2 are 20.\n\nSo \\boxed{50}."))
    rows = rows_of(exported("rft:sources=all", episode_of(run, "coins")))
    assert rows and all("known to be" not in str(row["prompt"]) for row in rows)


def test_samples_are_solutions_of_a_problem(run: Path) -> None:
    collect(run, "rationalise:samples=2,pass_rate=1", players("So \\boxed{50}."))
    assert len(made(run, "rationalise", "coins")) == 2 and len(made(run, "rationalise", "apples")) == 2


def test_gold_solutions_are_paraphrased_by_the_model_to_be_tuned(run: Path) -> None:
    collect(run, "paraphrase", players("Twelve apples less two.\n\nSo \\boxed{10}."))
    ((trial, one),) = made(run, "paraphrase", "apples")
    assert trial is None and one["model"] == "scripted:stub-actor"
    assert (one["correct"], one["equivalent"]) == (True, None)
    assert made(run, "paraphrase", "coins") == [], "it has no gold solution"


def test_a_model_judges_where_it_is_asked_to(run: Path) -> None:
    for said, verdict in (("Yes, it does.", True), ("no", False), ("verdict: yes", None)):
        collect(run, "paraphrase:judge=model", players("So \\boxed{10}.", critic=said), seed=len(said))
        assert made(run, "paraphrase", "apples")[-1][1]["equivalent"] is verdict


def test_attempts_are_judged_against_the_gold_side(run: Path) -> None:
    collect(run, "judge-equivalence:attempts=right", players(critic="yes"))
    assert [trial for trial, _ in made(run, "judge-equivalence", "apples")] == [0, 1, 2]
    assert made(run, "judge-equivalence", "desk")[0] == (0, {"by": "scripted:teacher", "equivalent": True})
