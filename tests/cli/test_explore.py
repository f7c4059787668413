"""`actorcritic explore`: searches of a named environment, run folders that go on, and training data of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actorcritic.actor import ModelActor
from actorcritic.cli import explore, exploring
from actorcritic.cli.app import run
from actorcritic.cli.exploring import ExploreConfig
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.environments.named import ENVIRONMENT_NAMES, environment_named
from actorcritic.errors import EngineUnavailable, InputError
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat
from actorcritic.loading import LoadOptions, Roles
from actorcritic.tasks.heldout import KEY, split_of
from actorcritic.trajectory.reader import read_facts
from actorcritic.types import GenerateRequest

SHOP = ("explore", "--environment", "shop", "--limit", "2", "--budget-steps", "30")

BY_CRITIC = "mcts:nodes=step,leaf=rollout,selection=agent-q,score=critic,expand=3"


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_best_episodes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SHOP]) == 0
    shown = capsys.readouterr().out
    first, last = shown.index("shop-"), shown.splitlines()[-1]
    assert "search[" in shown[first:] and " buy " in shown and "earned 0.80 of 1" in shown
    assert last.startswith("2 problems: mean return 0.800") and "an oracle run" in last, "its reward is the checker's"


def test_json_is_one_object_per_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SHOP, "--strategy", "best-of-n:score=critic,n=2", "--json"]) == 0
    found = objects(capsys.readouterr().out)
    assert [one["id"] for one in found] == ["shop-12", "shop-16"], "the first held-out shops, in order"
    for one in found:
        assert (one["oracle"], one["strategy"], one["budget"]) == (False, "best-of-n:score=critic,n=2", "hard")
        assert 0 < one["usage"]["environment_steps"] <= 30 and one["usage"]["critic"]["calls"] > 0
        assert one["correct"] is (one["reward"] == 1.0 if one["reward"] is not None else False)


def test_a_run_goes_on_and_becomes_training_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, rows = tmp_path / "run", tmp_path / "rows"
    begin = (*SHOP, "--split", "train", "--budget-steps", "90", "--strategy", BY_CRITIC)
    assert run([*begin, "--out", str(folder), "--json"]) == 0
    whole = objects(capsys.readouterr().out)
    log = folder / "events" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert run(["explore", "--resume", str(folder), "--json"]) == 0
    assert [(one["id"], one["answer"]) for one in objects(capsys.readouterr().out)] == [
        (one["id"], one["answer"]) for one in whole
    ]
    for step in ("score", "resimulate:every=4,m=1"):
        assert run(["collect", "--from", str(folder), "--step", step]) == 0
    assert " 0 events appended" not in capsys.readouterr().out
    assert run(["export", str(folder), "--recipe", "agent-q:theta=0.05", "--out", str(rows)]) == 0
    made = [row for file in rows.glob("*.jsonl") for row in objects(file.read_text())]
    assert made and all(row["chosen"] != row["rejected"] and not row["provenance"]["oracle"] for row in made)


def test_models_play_and_judge_by_their_specs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []
    actor, critic = ScriptedEngine(lambda request: "I look around.\nAction: search[lamp]"), ScriptedEngine(praise)

    def load(actor_spec: str, critic_spec: str, options: LoadOptions) -> Roles:
        asked.append((actor_spec, critic_spec))
        return Roles(
            actor=ModelActor(actor, ChatActorFormat()),
            critic=ModelCritic(critic, ChatCriticFormat()),
            engines=(actor, critic),
        )

    monkeypatch.setattr(exploring, "load_roles", load)
    how = ("--actor", "hf:me", "--critic", "hf:you", "--strategy", "best-of-n:score=critic,n=1", "--json")
    assert run([*SHOP, *how]) == 0
    first, _ = objects(capsys.readouterr().out)
    assert asked == [("hf:me", "hf:you")]
    assert {step["text"] for step in first["solution"]["steps"]} == {"search[lamp]"}
    assert first["critique"]["score"] == 0.7 and len(actor.calls) == 2 * 8, "an episode of eight actions each"
    with pytest.raises(EngineUnavailable):
        asyncio.run(actor.generate(actor.calls[0].request))
    assert run([*SHOP, "--actor", "hf:me", "--strategy", "greedy"]) == 1, "an engine that is closed plays nothing"


def praise(request: GenerateRequest) -> str:
    return "Explanation: this is going well\nScore: 7"


def test_whoever_stops_it_is_told_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stopped(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(explore, "_work", stopped)
    assert run([*SHOP, "--out", str(tmp_path / "run")]) == 130
    assert f"go on with: actorcritic explore --resume {tmp_path / 'run'}" in capsys.readouterr().err
    assert run([*SHOP]) == 130 and capsys.readouterr().err == ""


def test_what_is_held_out_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert run([*SHOP, "--strategy", "best-of-n:score=critic", "--out", str(folder)]) == 0
    assert run(["export", str(folder), "--recipe", "faft:source=critique", "--out", str(tmp_path / "rows")]) == 2
    assert "held out by the published rule (test)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--environment", "moon"), "choose from: shop, textworld:easy"),
        (("--environment", "shop", "--split", "all"), "choose from: train, dev, test"),
        (("--environment", "shop", "--limit", "0"), "--limit must be at least 1"),
        (("--environment", "shop", "--critic", "none"), "needs a critic"),
        (("--environment", "shop", "--critic", "oracle"), "a model judges, or nobody"),
        (("--environment", "shop", "--actor", "embedded"), "takes no chats"),
        (("--environment", "shop", "--temperature", "-1"), "--temperature"),
        (("--environment", "shop", "--width", "0"), "width must be at least 1"),
        (("--environment", "shop", "--strategy", "mcts:nodes=moon"), "nodes"),
        (("--environment", "shop", "--resume", "there"), "leave out --environment"),
        (("--budget-steps", "9", "--resume", "there"), "leave out --budget-steps"),
        (("--resume", "there"), "no run folder"),
    ],
)
def test_what_cannot_work_is_refused_in_a_line(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explore", *arguments]) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.startswith("error: ") and said.count("\n") == 1


def test_a_folder_is_begun_once_and_is_of_this_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    begin = [*SHOP, "--strategy", "greedy", "--critic", "none", "--out", str(folder)]
    assert run(begin) == 0
    assert run(begin) == 2
    assert "go on with it by --resume" in capsys.readouterr().err
    head = json.loads((folder / "run.json").read_text())
    assert ExploreConfig.model_validate(read_facts(folder).config["explore"]).critic == "none"
    del head["config"]["explore"]
    (folder / "run.json").write_text(json.dumps(head))
    assert run(["explore", "--resume", str(folder)]) == 2
    assert "no run of explore" in capsys.readouterr().err


async def test_named_environments_draw_from_one_side_of_the_rule() -> None:
    shop = environment_named("shop")
    for split in ("train", "dev", "test"):
        drawn = await shop.draw(split, 3)
        assert [split_of(str(problem.meta[KEY])) for problem in drawn] == [split] * 3
    assert ENVIRONMENT_NAMES == ("shop", "textworld:easy", "textworld:medium", "textworld:hard")
    with pytest.raises(InputError, match="unknown environment"):
        environment_named("textworld:harder")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Game '.*' is not fully supported")
def test_games_in_words_are_kept_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("textworld", reason="of the extra textworld")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    how = ("--environment", "textworld:easy", "--limit", "1", "--budget-steps", "30", "--strategy", "lats")
    assert run(["explore", *how, "--json"]) == 0
    (one,) = objects(capsys.readouterr().out)
    assert one["id"] == "textworld:easy:8" and one["oracle"] is False and 0 < one["usage"]["environment_steps"] <= 30
    assert [file.name for file in tmp_path.glob("actorcritic/textworld/*/*.z8")] == ["easy-8.z8"]
