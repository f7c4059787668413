"""`actorcritic improve`: the loop with a scripted world and a trainer that only says how skilled its model now is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.cli import improve_stages
from actorcritic.cli.improve_folder import ImproveFolder
from actorcritic.cli.improve_stages import Stages
from actorcritic.export.exclusion import heldout_keys
from actorcritic.tasks.heldout import split_of
from actorcritic.training.bases import ROLES, find_base
from actorcritic.trajectory.reader import read_problems
from tests.cli.improving import (
    LEAST,
    SMALL,
    Looped,
    Start,
    Trainer,
    actor_of,
    loop,
    report_in,
    rows_in,
)


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> Looped:
    """Return two rounds of three methods."""
    return loop(tmp_path_factory.mktemp("loop") / "run", "--task", "countdown-3", "--rounds", 2, *SMALL)


def test_the_whole_loop(looped: Looped) -> None:
    report = looped.report
    assert looped.output.code == 0
    assert [(row.method, row.round, row.with_critic) for row in report.rows] == [
        (method, number, side)
        for method, number in (
            ("base", 0),
            ("sft", 0),
            ("vanilla", 1),
            ("vanilla", 2),
            ("critique", 1),
            ("critique", 2),
        )
        for side in (False, True)
    ]
    for row in report.rows:
        assert sum(each.problems for each in row.by_quintile) == report.problems == 10
        assert 0 <= row.ci_low <= row.accuracy <= row.ci_high <= 1 and row.seeds == [0]
    alone, critic = report.rows[0], report.rows[1]
    assert critic.tokens > alone.tokens, "the critic's tokens are on the bill"
    # A critic that knows the rules calls nothing wrong that is right, so its revisions can only help.
    assert critic.pass_at_5 >= alone.pass_at_5 and critic.accuracy >= alone.accuracy
    assert (looped.folder / "improve.png").stat().st_size > 10_000 and len(looped.trainer.asked) == 5
    costs = [row.cost.explore_tokens for row in report.rows if row.method in ("sft", "vanilla") and not row.with_critic]
    assert 0 < costs[0] < costs[1] < costs[2] or 0 < costs[0] < costs[2] == costs[1], "what came before is on the bill"


def test_a_round_that_makes_things_worse_is_reported_and_not_promoted(looped: Looped) -> None:
    report, folder = looped.report, looped.folder
    assert {(row.method, row.round): row.promoted for row in report.rows} == {
        ("base", 0): True,
        ("sft", 0): True,
        ("vanilla", 1): False,
        ("vanilla", 2): True,
        ("critique", 1): True,
        ("critique", 2): True,
    }
    assert "vanilla, round 1: worse than before on the development problems" in looped.output.out
    assert "stages/sft/round-0" in actor_of(folder, "vanilla/round-1/seed-0/samples")
    assert "stages/sft/round-0" in actor_of(folder, "vanilla/round-2/seed-0/samples"), "the best so far, never the last"
    assert "stages/critique/round-1" in actor_of(folder, "critique/round-2/seed-0/samples")
    assert report.models["vanilla"].endswith("vanilla/round-2/seed-0/train/out/model")


def test_what_each_method_learns_from(looped: Looped) -> None:
    """Algorithm 1: the base again, the original data always, the critique in none of the explored rows."""
    folder, asked = looped.folder, looped.trainer.asked
    sources: dict[str, set[str]] = {}
    for method, place in (("sft", "sft/round-0"), ("vanilla", "vanilla/round-1"), ("critique", "critique/round-1")):
        rows = rows_in(folder, f"{place}/seed-0/data")
        sources[method] = {row["source"] for row in rows if "reject" not in row["prompt"]}
        followed = {row["source"] for row in rows if "reject" in row["prompt"]}
        assert followed == {"refinement"}, "the original refinement data stays"
    assert sources == {
        "sft": {"worked"},
        "vanilla": {"worked", "attempt"},
        "critique": {"worked", "attempt", "refinement"},
    }
    assert {settings.model for settings in asked} == {"embedded-actor"}, "every training starts from the base"
    assert {settings.recipe for settings in asked} == {"self-improve"}
    vanilla, critique = (rows_in(folder, f"{name}/round-1/seed-0/data") for name in ("vanilla", "critique"))
    own = [row["completion"] for row in vanilla if row["source"] == "attempt"]
    assert own == [row["completion"] for row in critique if row["source"] == "attempt"], "they share their samples"
    assert not any(row["provenance"]["oracle"] for row in (*vanilla, *critique))


def test_training_and_test_problems_are_apart(looped: Looped) -> None:
    for place, split in (
        ("base/round-0/seed-0/samples/run", "train"),
        ("critique/round-1/seed-0/samples/run", "train"),
        ("base/round-0/seed-0/difficulty/run", "test"),
        ("critique/round-1/seed-0/evaluate/greedy", "test"),
        ("critique/round-1/seed-0/evaluate/samples", "test"),
        ("critique/round-1/seed-0/evaluate/dev", "dev"),
    ):
        keys = [key for problem, _ in read_problems(looped.folder / "stages" / place) for key in heldout_keys(problem)]
        assert keys and {split_of(key) for key in keys} == {split}


def test_the_critic_can_learn_in_the_actors_place(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = start("--task", "countdown-3", "--rounds", 2, "--methods", "critic", *LEAST, "--out", folder, "--json")
    assert done.code == 0
    assert [(settings.recipe, settings.model) for settings in trainer.asked] == [("critic-sft", "embedded-critic")] * 2
    for row in rows_in(folder, "critic/round-1/seed-0/data"):
        assert row["prompt"].endswith("judge\n") and set(row["completion"].split()) <= {"ok", "unreachable", "clash"}
    report = report_in(done)
    base, last = (next(r for r in report.rows if r.method == name and not r.with_critic) for name in ("base", "critic"))
    assert last.accuracy == base.accuracy, "the actor stays"
    second = json.loads(
        (folder / "stages/critic/round-2/seed-0/evaluate/samples/run.json").read_text(encoding="utf-8")
    )["config"]
    assert second["actor"] == "embedded"


def test_seeds_are_of_the_last_round(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ("--task", "countdown-3", "--rounds", 1, "--methods", "vanilla", "--seeds", "0,4", *LEAST)
    report = report_in(start(*arguments, "--out", folder, "--json"))
    assert [(row.round, row.seeds) for row in report.rows if not row.with_critic] == [(0, [0]), (1, [0, 4])]
    assert [settings.seed for settings in trainer.asked] == [0, 4]
    first, other = (rows_in(folder, f"vanilla/round-1/seed-{seed}/data") for seed in (0, 4))
    assert [row["completion"] for row in first] != [row["completion"] for row in other], "it explores anew"


def test_a_chat_model_learns_from_chats(start: Start, trainer: Trainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ("--task", "countdown-3", "--rounds", 1, "--methods", "vanilla", "--actor", "hf:some", *LEAST)
    assert start(*arguments, "--out", folder).code == 0
    (settings,) = trainer.asked
    assert settings.model == "hf:some" and settings.epochs is None, "as the recipe's preset has it"
    for row in rows_in(folder, "vanilla/round-1/seed-0/data"):
        assert row["prompt"][0]["role"] == "user" and row["completion"][0]["role"] == "assistant"


def test_a_family_has_its_own_pair(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Stages) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Stages, "run", stop)
    folder = tmp_path / "run"
    assert start("--task", "arithmetic", "--methods", "sft,critic", *LEAST, "--out", folder).code == 130
    with ImproveFolder(folder) as made:
        assert (made.config.actor, made.config.critic) == ("embedded:arithmetic", "embedded:arithmetic")
        for role in ROLES:
            settings = improve_stages.training(made.config, role, data=tmp_path, out=tmp_path, seed=0)
            assert find_base(settings.model).role == role
