"""The checks that benchmarks make of records see what is wrong: with a log, with a resumed search, with a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.shop_players import shop_critic, shop_shopper
from actorcritic.environments.web_shop import INFO, open_shop, shop_problem
from actorcritic.graphs.session import ProblemResult
from actorcritic.trajectory.episodes import read_episodes
from tests.benchmarks.episodes import _look_at_pair, export, record, resume
from tests.environments.world import player, settings
from tests.export.log import setting_of

HOW = settings("mcts:nodes=step,leaf=rollout,selection=agent-q,score=critic,expand=3", steps=60)


async def recorded(folder: Path) -> dict[str, ProblemResult]:
    return await record(folder, [await shop_problem(shop) for shop in (4, 7)], player(), shop_critic(), HOW)


async def test_what_is_well_recorded_passes_and_a_search_that_ends_otherwise_does_not(tmp_path: Path) -> None:
    whole = await recorded(tmp_path / "run")
    held = await resume(tmp_path / "run", whole, player, shop_critic(), HOW, cuts=3)
    assert all(count == of == 6 for count, of in held.values())

    def another() -> EnvironmentActor:
        return EnvironmentActor(shop_shopper(error=0.9), open_shop, INFO)

    broken = await resume(tmp_path / "run", whole, another, shop_critic(), HOW, cuts=3)
    assert broken["resumed to the same end"][0] < 6


async def test_a_row_that_is_not_of_the_log_is_seen(tmp_path: Path) -> None:
    await recorded(tmp_path / "run")
    made = export(tmp_path / "run", "agent-q:theta=0.05")
    assert made["rows"] and all(count == of == made["rows"] for count, of in made["checks"].values())
    (episode, _) = read_episodes(tmp_path / "run")
    one, other = [attempt for attempt in episode.attempts if attempt.parent is None and attempt.visits][:2]
    assert one.solution is not None and other.solution is not None
    row: dict[str, Any] = {
        "prompt": [{"role": "user", "content": "Do as you like."}],
        "chosen": [{"role": "assistant", "content": "Action: fly"}],
        "rejected": [{"role": "assistant", "content": "Action: fly"}],
        "score_chosen": 0.5,
        "score_rejected": 0.5,
        "ref_chosen_logps": 1.0,
        "ref_rejected_logps": 1.0,
    }
    setting = setting_of("agent-q:theta=0.05")[1]
    looked = dict(_look_at_pair(row, episode, [one, replace(other, visits=None)], setting))
    assert looked and not any(looked.values())
