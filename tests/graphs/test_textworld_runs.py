"""Searches of real games in words: one tree for any timing, logs that go on from any cut, training data."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from actorcritic.budget import Budget
from actorcritic.codec import encode
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.textworld import TextWorldGames, game_seeds, textworld_info
from actorcritic.environments.textworld_players import textworld_cook, textworld_judge
from actorcritic.graphs.environment_search import AGENT_Q, LATS, environment_settings
from actorcritic.graphs.session import SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.types import JsonValue, Problem
from tests.benchmarks.episodes import collect, export, record, resume

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Game '.*' is not fully supported")]
pytest.importorskip("textworld", reason="of the extra textworld")


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> TextWorldGames:
    return TextWorldGames(tmp_path_factory.mktemp("games"))


def how(strategy: str, *, steps: int, width: int = 1) -> SearchSettings:
    info = textworld_info("medium")
    return environment_settings(strategy, info, budget=Budget(steps=steps), width=width, seed=5, partial=True)


def player(games: TextWorldGames, latencies: tuple[float, ...] = ()) -> EnvironmentActor:
    return EnvironmentActor(textworld_cook(latencies=latencies), games.open, textworld_info("medium"))


async def drawn(games: TextWorldGames, number: int) -> list[Problem]:
    return [await games.problem("medium", seed) for seed in game_seeds("medium", "train", number)]


async def test_timing_changes_no_tree_of_replayed_worlds(games: TextWorldGames) -> None:
    (problem,) = await drawn(games, 1)
    settings = how(f"{AGENT_Q},expand=3", steps=90, width=3)
    trees: list[tuple[JsonValue, int]] = []
    for latencies in ((), (0.02, 0.0, 0.01)):
        session = new_session(problem, settings, SilentJournal())
        result = await search_problem(session, player(games, latencies), textworld_judge(), settings)
        assert result.failures == () and result.spend.steps is not None
        trees.append(([session.policy.dump(), encode(session.attempts)], result.spend.steps.taken))
    assert trees[0] == trees[1] and trees[0][1] > 60


@pytest.mark.parametrize("strategy", [f"{AGENT_Q},expand=4", f"{LATS},expand=4"])
async def test_a_log_goes_on_from_any_cut_and_holds_pairs(games: TextWorldGames, strategy: str, tmp_path: Path) -> None:
    settings, judge, folder = how(strategy, steps=200), textworld_judge(), tmp_path / "run"
    results = await record(folder, await drawn(games, 2), player(games), judge, settings)
    held = await resume(folder, results, partial(player, games), judge, settings, cuts=4)
    assert held and all(count == of == 8 for count, of in held.values())
    if strategy.startswith(AGENT_Q):
        made = export(folder, "agent-q:theta=0.1")
        assert made["rows"] and all(count == of for count, of in made["checks"].values()), made


async def test_episodes_are_learnt_from(games: TextWorldGames, tmp_path: Path) -> None:
    settings, folder = how("best-of-n:score=verifier,n=4", steps=120), tmp_path / "run"
    await record(folder, await drawn(games, 2), player(games), textworld_judge(), settings)
    await collect(folder, player(games), ("score", "feedback", "resimulate:every=6,m=1"))
    for recipe in ("eef:form=turns", "eef", "faft"):
        made = export(folder, recipe)
        assert made["rows"] and made["checks"], made
        assert all(count == of for count, of in made["checks"].values()), made
