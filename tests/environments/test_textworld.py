"""Games in words: what a game shows and earns (with a stand-in), and real ones made, played, replayed, closed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actorcritic.environments import textworld
from actorcritic.environments.conformance import check_environment
from actorcritic.environments.textworld import LEVELS, TextWorld, TextWorldGames, game_key, game_seeds, tidy
from actorcritic.errors import EnvironmentFault, InputError
from actorcritic.protocols import EnvironmentInfo, SnapshotEnvironment
from actorcritic.tasks.heldout import split_of
from actorcritic.types import Problem

# TextWorld turns this warning off where it is imported, and pytest on again in every test.
pytestmark = pytest.mark.filterwarnings("ignore:Game '.*' is not fully supported")

INFO = EnvironmentInfo(name="stand-in", oracle=False, max_steps=4)
SCREEN = """


          ________
         |        \\
          $$$$$$$$

You are hungry!

-= Kitchen =-
You see a stove.


\x20
> \t                                      -= Kitchen =-0/1"""
THE_END = """
You eat the meal.


*** The End ***

You scored 2 out of a possible 2.


Would you like to RESTART, RESTORE a saved game, QUIT or UNDO the last command?
>   -= Kitchen =-1/2"""


class StandIn:
    """What `textworld.start` gives: a game of two points, in which `burn` loses."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closed = 0

    def reset(self) -> dict[str, Any]:
        self.score, self.over = 0, False
        return self.state(SCREEN)

    def step(self, command: str) -> tuple[dict[str, Any], int, bool]:
        self.sent.append(command)
        self.score += command in ("cook", "eat meal")
        self.over = command in ("burn", "eat meal")
        return (
            self.state(THE_END if command == "eat meal" else f"\nYou {command}.\n\n>  -= Kitchen =-"),
            self.score,
            False,
        )

    def state(self, feedback: str) -> dict[str, Any]:
        won = self.over and self.sent[-1] == "eat meal"
        return {
            "feedback": feedback,
            "admissible_commands": ["burn", "cook", "eat meal", "examine BBQ"],
            "facts": ["at(P, kitchen)", f"points({self.score})"],
            "score": self.score,
            "max_score": 2,
            "won": won,
            "lost": self.over and not won,
        }

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def game(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn()
    monkeypatch.setattr(textworld, "_start", lambda file: stand_in)
    yield stand_in


def test_a_text_is_shown_without_what_is_meant_for_a_terminal() -> None:
    assert tidy(SCREEN) == "You are hungry!\n\n-= Kitchen =-\nYou see a stove."
    assert tidy(THE_END) == "You eat the meal.\n\n*** The End ***\n\nYou scored 2 out of a possible 2."
    assert tidy("a > b\n\n> c is more") == "a > b", "only the prompt at the end goes"
    assert tidy("") == tidy("\n$$\n>") == ""


async def test_rewards_are_shares_of_the_points_and_the_end_is_the_end(game: StandIn) -> None:
    world = TextWorld(Path("easy-1.z8"), INFO)
    first = await world.reset()
    assert (first.reward, first.done) == (None, False) and first.actions is not None and "cook" in first.actions
    cooked = await world.step("cook")
    eaten = await world.step("eat meal")
    assert (cooked.reward, cooked.done) == (0.5, False)
    assert (eaten.reward, eaten.done, eaten.actions) == (0.5, True, ())
    assert len({first.state, cooked.state, eaten.state}) == 3
    await world.aclose()


async def test_a_lost_game_is_over(game: StandIn) -> None:
    world = TextWorld(Path("easy-1.z8"), INFO)
    await world.reset()
    lost = await world.step("burn")
    assert (lost.done, lost.reward, lost.actions) == (True, 0.0, ())
    await world.aclose()


async def test_only_what_is_offered_reaches_the_interpreter(game: StandIn) -> None:
    """Its parser knows `save`, `script` and several commands in one line; files would be written."""
    world = TextWorld(Path("easy-1.z8"), INFO)
    first = await world.reset()
    for wrong in ("save", "cook\nsave", "cook. save", ""):
        refused = await world.step(wrong)
        assert refused.text.startswith("That cannot be done here.") and refused.reward == 0.0
    assert game.sent == [] and refused.done and refused.state != first.state, "it takes its time all the same"
    assert refused.text.endswith("Your time is up.") and refused.actions == ()
    await world.reset()
    assert (await world.step(" Examine  bbq ")).text == "You examine BBQ." and game.sent == ["examine BBQ"]
    await world.aclose()


async def test_a_world_is_closed_once_and_of_no_use_then(game: StandIn) -> None:
    world = TextWorld(Path("easy-1.z8"), INFO)
    await world.aclose()
    await world.reset()
    await asyncio.gather(world.aclose(), world.aclose())
    assert game.closed == 1
    with pytest.raises(EnvironmentFault, match="closed"):
        await world.step("cook")


def test_seeds_belong_to_one_split_and_fewer_are_the_beginning_of_more() -> None:
    for level in LEVELS:
        sides = {split: game_seeds(level, split, 8) for split in ("train", "dev", "test")}
        assert all(split_of(game_key(level, seed)) == split for split, seeds in sides.items() for seed in seeds)
        assert game_seeds(level, "test", 3) == sides["test"][:3] and min(map(min, sides.values())) == 1
    foods = {LEVELS["easy"].settings(split, 1)["split"] for split in ("train", "dev", "test")}
    assert foods == {"train", "valid", "test"}, "what is held out is cooked of other foods, in other ways"


async def test_what_cannot_be_played_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose from: easy, medium, hard"):
        game_seeds("harder", "test", 1)
    with pytest.raises(InputError, match="at least 1"):
        game_seeds("easy", "test", 0)
    games = TextWorldGames(tmp_path)
    with pytest.raises(InputError, match="under meta"):
        await games.open(Problem(id="p", prompt="Cook."))
    monkeypatch.setattr(textworld, "version", missing)
    with pytest.raises(InputError, match=r"pip install 'actorcritic\[textworld\]'"):
        await games.problem("easy", 1)
    monkeypatch.setattr(textworld, "version", lambda name: "1")
    with pytest.raises(InputError, match="at least 1"):
        await games.problem("easy", 0)
    assert list(tmp_path.iterdir()) == []


def missing(name: str) -> str:
    raise PackageNotFoundError(name)


async def test_a_maker_that_fails_or_hangs_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program, patience, complaint in (
        ("import sys; sys.exit('no flour')", 60.0, "no flour"),
        ("import time; time.sleep(600)", 0.2, "more than 0.2 seconds"),
    ):
        script = tmp_path / "maker"
        script.write_text(f"#!{sys.executable}\n{program}\n")
        script.chmod(0o755)
        monkeypatch.setattr(textworld, "sys", SimpleNamespace(executable=str(script)))
        monkeypatch.setattr(textworld, "PATIENCE", patience)
        monkeypatch.setattr(textworld, "version", lambda name: "1")
        with pytest.raises(EnvironmentFault, match=complaint):
            await TextWorldGames(tmp_path / "games").problem("easy", 1)
        assert list((tmp_path / "games").rglob("*.*8")) == list((tmp_path / "games").rglob(".making*")) == []


async def test_a_folder_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "games").write_text("a file")
    monkeypatch.setattr(textworld, "version", lambda name: "1")
    with pytest.raises(EnvironmentFault, match="no game can be kept in"):
        await TextWorldGames(tmp_path / "games").problem("easy", 1)


# --- real games ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("textworld", reason="of the extra textworld")
    return tmp_path_factory.mktemp("games")


async def test_a_real_game_keeps_to_what_a_search_relies_on(folder: Path) -> None:
    games = TextWorldGames(folder)
    seed = game_seeds("easy", "test", 1)[0]
    problem = await games.problem("easy", seed)
    assert problem.text.startswith("You are hungry!") and "$" not in problem.text and ">" not in problem.text
    assert problem == await games.problem("easy", seed), "made once, the same again"
    assert await check_environment(games.open, problem, episodes=2) == ()
    world = await games.open(problem)
    assert not isinstance(world, SnapshotEnvironment) and not world.info.oracle and not world.info.side_effects


COLD = """
import asyncio, sys
from pathlib import Path
from actorcritic.environments.textworld import TextWorldGames
from actorcritic.types import Problem

async def main():
    games = TextWorldGames(Path(sys.argv[1]))
    problem = Problem(id="p", prompt="", meta={"textworld_level": "easy", "textworld_seed": int(sys.argv[2])})
    worlds = [await games.open(problem) for _ in range(6)]
    first = await asyncio.gather(*(world.reset() for world in worlds))
    seen = await asyncio.gather(*(world.step(shown.actions[0]) for world, shown in zip(worlds, first)))
    assert len({shown.state for shown in seen}) == len(set(first)) == 1
    await asyncio.gather(*(world.aclose() for world in worlds))

asyncio.run(main())
"""


async def test_many_worlds_are_opened_at_once_in_a_fresh_process(folder: Path) -> None:
    """TextWorld reads its rules when the first world is opened; two threads in that parser break it."""
    seed = game_seeds("easy", "test", 1)[0]
    await TextWorldGames(folder).problem("easy", seed)
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(folder), str(seed)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-1000:]


@pytest.mark.slow
@pytest.mark.timeout(900)  # a game takes seconds to make, where the machine has them
@pytest.mark.parametrize("level", LEVELS)
async def test_games_can_be_won_in_time_by_textworlds_own_walkthrough(folder: Path, level: str) -> None:
    games = TextWorldGames(folder)
    for split in ("train", "dev", "test"):
        for seed in game_seeds(level, split, 2 if level == "easy" else 1):
            world = await games.open(await games.problem(level, seed))
            await world.reset()
            earned, last = 0.0, None
            known = json.loads(next(folder.rglob(f"{level}-{seed}.json")).read_text())["metadata"]
            for action in known["walkthrough"]:
                last = await world.step(action)
                earned += last.reward or 0.0
            assert last is not None and last.done and abs(earned - 1) < 1e-9, f"{level} {seed}: {last}"
            await world.aclose()


@pytest.mark.slow
async def test_the_same_seed_makes_the_same_game(folder: Path, tmp_path: Path) -> None:
    one, other = TextWorldGames(folder), TextWorldGames(tmp_path)
    for seed in (2, 3):
        assert await one.problem("hard", seed) == await other.problem("hard", seed)
    first, second = (next(place.rglob("hard-2.json")).read_bytes() for place in (folder, tmp_path))
    assert first == second
