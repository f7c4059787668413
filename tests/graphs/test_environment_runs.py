"""Run folders of environment searches: written, gone on with, exported, and refused where they are of another run."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorcritic.environments.shop_players import shop_critic
from actorcritic.environments.web_shop import shop_problem
from actorcritic.errors import InputError
from actorcritic.export.pipeline import Order, export_run
from actorcritic.graphs.environment_runs import search_environments
from actorcritic.graphs.environment_search import AGENT_Q
from actorcritic.graphs.session import ProblemResult
from actorcritic.graphs.settings import SearchSettings
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.types import Problem
from tests.environments.world import player, settings
from tests.export.log import setting_of

HOW = settings(f"{AGENT_Q},expand=3", steps=40)


async def run(folder: Path, problems: list[Problem], how: SearchSettings = HOW) -> dict[str, ProblemResult]:
    found = search_environments(folder, problems, player(), shop_critic(), how)
    return {result.problem.id: result async for result in found}


async def shops(*seeds: int) -> list[Problem]:
    return [await shop_problem(seed) for seed in seeds]


async def test_a_run_folder_is_written_and_exported(tmp_path: Path) -> None:
    results = await run(tmp_path / "run", await shops(4, 7))
    episodes = list(read_episodes(tmp_path / "run"))
    assert [episode.problem.id for episode in episodes] == ["shop-4", "shop-7"]
    for episode in episodes:
        result = results[episode.problem.id]
        assert (episode.answer, episode.stopped_by, episode.spend) == (result.answer, "steps", result.spend)
        assert episode.oracle and [origin.name for origin in episode.provenance.models] == ["shopper", "shop-judge"]
    recipe, setting = setting_of("agent-q:theta=0.1")
    with pytest.raises(InputError, match="oracle run"):
        export_run(tmp_path / "run", Order(recipe=recipe, setting=setting))
    assert export_run(tmp_path / "run", Order(recipe=recipe, setting=setting, allow_oracle=True)).total > 0


async def test_the_same_call_goes_on_and_ends_as_the_unbroken_one(tmp_path: Path) -> None:
    problems = await shops(4, 7)
    whole = await run(tmp_path / "whole", problems)
    await run(tmp_path / "cut", problems)
    log = tmp_path / "cut" / "events" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: 2 * len(lines) // 3]))
    again = await run(tmp_path / "cut", problems)
    for name, result in whole.items():
        assert (again[name].answer, again[name].best) == (result.answer, result.best)
    done = log.read_bytes()
    assert (await run(tmp_path / "cut", problems)).keys() == whole.keys()
    assert log.read_bytes() == done, "a finished run is read and not searched again"


async def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    problems = await shops(4)
    await run(tmp_path / "run", problems, settings("greedy"))
    with pytest.raises(InputError, match="other problems or settings"):
        await run(tmp_path / "run", problems, settings("greedy", width=2))
    with pytest.raises(InputError, match="other problems or settings"):
        await run(tmp_path / "run", await shops(7), settings("greedy"))
