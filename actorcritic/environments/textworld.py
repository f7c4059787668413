"""TextWorld's cooking games (Côté et al. 2018, arXiv 1806.11532) as environments: read the recipe, cook it, eat it.

An environment that is not ours, of the extra `textworld`. Picked over ScienceWorld (arXiv 2203.07540): its own program
makes any number of games from seeds and levels, it says what can be done, needs no Java and no process per world, and
its last release is of 2026, not of 2024. A search comes back by replay; the hash is of every fact of the world. Only
what the game itself offers reaches its interpreter: a model cannot have it save, restore or write a file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import count, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from actorcritic.environments.worlds import problem_in
from actorcritic.errors import EnvironmentFault, InputError
from actorcritic.observation import Observation
from actorcritic.protocols import Environment, EnvironmentInfo
from actorcritic.tasks.heldout import KEY, Split, split_of
from actorcritic.types import Problem

__all__ = ["LEVELS", "Level", "TextWorld", "TextWorldGames", "game_key", "game_seeds", "textworld_info", "tidy"]

SEED, LEVEL = "textworld_seed", "textworld_level"
"""Fields of a problem's `meta`: which game."""
FOODS: Mapping[Split, str] = MappingProxyType({"train": "train", "dev": "valid", "test": "test"})
"""Whose foods and ways to prepare them a split takes, in TextWorld's words: what is held out cooks otherwise."""
PATIENCE = 600.0
"""Seconds after which the making of a game is given up; it takes about two, far more on a busy machine."""
DICE = 1
"""Seed of the interpreter; the games throw none, but a seed of its own choice would be the time of day."""

_ONE = threading.Lock()
"""TextWorld's parser of its own descriptions is one for the whole process and not made for threads; and what it does is
Python, of which no two threads run at once anyway."""
_PROMPT = re.compile(r"\n+>[^\n]*\Z|\s*Would you like to RESTART.*\Z", re.DOTALL)
_BLANKS = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How hard a game is."""

    ingredients: int
    """Of the recipe, all to be found."""
    rooms: int
    """1 or 6, of which some are behind closed doors."""
    cut: bool
    """Whether ingredients must be cut as well as cooked, and fetched out of closed furniture."""
    max_steps: int
    """Actions of an episode at most, about twice those of TextWorld's own walkthrough."""

    def settings(self, split: Split, seed: int) -> dict[str, object]:
        """Return what TextWorld's cooking game is made from."""
        return {
            "seed": seed,
            "recipe": self.ingredients,
            "take": self.ingredients,
            "go": self.rooms,
            "open": self.cut,
            "cook": True,
            "cut": self.cut,
            "drop": False,
            "split": FOODS[split],
            "recipe_seed": seed,
        }


LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "easy": Level(ingredients=1, rooms=1, cut=False, max_steps=15),
        "medium": Level(ingredients=2, rooms=1, cut=True, max_steps=30),
        "hard": Level(ingredients=3, rooms=6, cut=True, max_steps=50),
    }
)
"""By name; games of 4, 8 and 11 points."""


def _level_of(name: str) -> Level:
    """Return the level of a name.

    Raises:
        InputError: there is none.
    """
    if name not in LEVELS:
        raise InputError(f"unknown level {name!r} of TextWorld; choose from: {', '.join(LEVELS)}")
    return LEVELS[name]


def game_key(level: str, seed: int) -> str:
    """Return the key of a game by which it is held out or not (see `tasks.heldout`)."""
    return f"textworld:{level}:{seed}"


def game_seeds(level: str, split: Split, number: int) -> tuple[int, ...]:
    """Return the first seeds, from 1, whose games belong to a split.

    Args:
        level: One of `LEVELS`.
        split: Which side of the published rule.
        number: How many, >= 1; fewer are the beginning of more.

    Raises:
        InputError: the level is unknown, or the number is below 1.
    """
    _level_of(level)
    if number < 1:
        raise InputError(f"the number of games must be at least 1, not {number}")
    fitting: Iterator[int] = (seed for seed in count(1) if split_of(game_key(level, seed)) == split)
    return tuple(islice(fitting, number))


def textworld_info(level: str) -> EnvironmentInfo:
    """Return what the games of a level declare; the score is shown to whoever plays, so no oracle.

    Raises:
        InputError: the level is unknown, or the extra is missing.
    """
    limit = _level_of(level).max_steps
    return EnvironmentInfo(name=f"textworld-{_version()}-cooking-{level}-1", oracle=False, max_steps=limit)


class TextWorldGames:
    """A folder of games, each made when it is first asked for.

    Args:
        folder: Where they are kept; None = `actorcritic/textworld` in the user's cache (XDG_CACHE_HOME is honoured).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    async def problem(self, level: str, seed: int) -> Problem:
        """Return the problem of a game: its first text asks for the meal.

        Args:
            level: One of `LEVELS`.
            seed: >= 1; whether the game is held out, `heldout.split_of(game_key(level, seed))` says.

        Raises:
            InputError: there is no such level or seed, or the extra is missing.
            EnvironmentFault: the game could not be made.
        """
        world = await self._world(level, seed)
        try:
            key = game_key(level, seed)
            return await problem_in(world, key, meta={LEVEL: level, SEED: seed, KEY: key})
        finally:
            await world.aclose()

    async def open(self, problem: Problem) -> Environment:
        """Open the game of a problem; see `OpenEnvironment`.

        Raises:
            InputError: the problem names no game.
        """
        level, seed = problem.meta.get(LEVEL), problem.meta.get(SEED)
        if not isinstance(level, str) or not isinstance(seed, int):
            raise InputError(f"problem {problem.id!r} names no game: put {LEVEL} and {SEED} under meta")
        return await self._world(level, seed)

    async def _world(self, level: str, seed: int) -> TextWorld:
        info = textworld_info(level)
        if seed < 1:
            raise InputError(f"the seed of a game must be at least 1, not {seed}")
        folder = _cache() if self._folder is None else self._folder
        file = folder / _version() / f"{level}-{seed}.z8"
        if not file.is_file():
            await _make(LEVELS[level].settings(split_of(game_key(level, seed)), seed), file)
        return TextWorld(file, info)


class TextWorld:
    """One world. Mutable: it stands in one state, and holds an interpreter until it is closed.

    Its work is done in threads, one call at a time: one that was cancelled still ends before the next begins.
    """

    def __init__(self, file: Path, info: EnvironmentInfo) -> None:
        """Open nothing yet.

        Args:
            file: The game, as `TextWorldGames` makes it.
            info: What to declare; its `max_steps` ends an episode.
        """
        self._file = file
        self._info = info
        self._game: Any = None
        self._offered: tuple[str, ...] = ()
        self._facts = ""
        self._score = 0
        self._highest = 1
        self._taken = 0

    @property
    def info(self) -> EnvironmentInfo:
        """See `Environment.info`."""
        return self._info

    async def reset(self) -> Observation:
        """See `Environment.reset`."""
        return await asyncio.to_thread(self._reset)

    async def step(self, action: str) -> Observation:
        """See `Environment.step`; an action counts in any case and spacing of letters."""
        return await asyncio.to_thread(self._step, action)

    async def aclose(self) -> None:
        """See `Environment.aclose`."""
        await asyncio.to_thread(self._close)

    def _reset(self) -> Observation:
        with _ONE:
            if self._game is None:
                self._game = _start(self._file)
            state = self._game.reset()
            self._highest, self._score, self._taken = state["max_score"], 0, 0
            return self._shown(state, tidy(state["feedback"]), None)

    def _step(self, action: str) -> Observation:
        with _ONE:
            if self._game is None:
                raise EnvironmentFault("the world is closed, or was never reset")
            self._taken += 1
            wanted = " ".join(action.lower().split())
            known = next((one for one in self._offered if one.lower() == wanted), None)
            if known is None:
                return self._unchanged("That cannot be done here.")
            state, score, _ = self._game.step(known)
            gained, self._score = score - self._score, score
            return self._shown(state, tidy(state["feedback"]), gained / self._highest)

    def _shown(self, state: Any, text: str, reward: float | None) -> Observation:
        """Return what the game shows, and remember what it offers."""
        self._offered = () if state["won"] or state["lost"] else tuple(state["admissible_commands"])
        self._facts = "\n".join(sorted(map(str, state["facts"])))
        return self._observation(text, reward)

    def _unchanged(self, text: str) -> Observation:
        """Return what is said where nothing was done; it takes its time all the same."""
        return self._observation(text, 0.0)

    def _observation(self, text: str, reward: float | None) -> Observation:
        late = self._info.max_steps is not None and self._taken >= self._info.max_steps
        done = late or not self._offered
        state = f"{self._file.name}|{self._taken}|{self._score}|{done}|{self._facts}"
        return Observation(
            text=f"{text}\n\nYour time is up." if late and self._offered else text,
            reward=reward,
            done=done,
            actions=() if done else self._offered,
            state=hashlib.sha256(state.encode()).hexdigest()[:16],
        )

    def _close(self) -> None:
        with _ONE:
            if self._game is not None:
                self._game.close()
                self._game = None


def tidy(shown: str) -> str:
    """Return what a game says without its banner, its prompt and status line, and its question at the end."""
    lines = _PROMPT.sub("", shown).splitlines()
    first = next((place for place, line in enumerate(lines) if any(map(str.isalnum, line))), len(lines))
    text = "\n".join(line.rstrip() for line in lines[first:])
    return _BLANKS.sub("\n\n", text).strip()


def _version() -> str:
    """Return which TextWorld is installed.

    Raises:
        InputError: none is.
    """
    try:
        return version("textworld")
    except PackageNotFoundError as error:
        raise InputError("games need textworld: pip install 'actorcritic[textworld]'") from error


def _cache() -> Path:
    """Return where games live; a relative path in XDG_CACHE_HOME is to be ignored, says its specification."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "actorcritic" / "textworld"


def _start(file: Path) -> Any:
    """Return TextWorld's own environment."""
    textworld = import_module("textworld")
    wanted = textworld.EnvInfos(
        feedback=True, admissible_commands=True, facts=True, score=True, max_score=True, won=True, lost=True
    )
    game = textworld.start(str(file), wanted)
    game.seed(DICE)
    return game


async def _make(settings: dict[str, object], file: Path) -> None:
    """Make a game in a process of its own; it appears under its name when it is whole.

    Raises:
        EnvironmentFault: the maker failed or took too long, or the folder cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".making-") as folder:
            made = Path(folder) / file.name
            await _run_maker(settings, made)
            # The description first: a game that is there is whole.
            for part in (made.with_suffix(".json"), made):
                part.replace(file.with_name(part.name))
    except OSError as error:
        raise EnvironmentFault(f"no game can be kept in {file.parent}: {error}") from error


async def _run_maker(settings: dict[str, object], file: Path) -> None:
    """Run the process that makes a game, and see that it ends."""
    maker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "actorcritic.environments.textworld_maker", json.dumps(settings), str(file)),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            _, complaint = await maker.communicate()
    except TimeoutError as error:
        raise EnvironmentFault(f"TextWorld took more than {PATIENCE:g} seconds to make {file.stem}") from error
    finally:
        if maker.returncode is None:
            maker.kill()
            await maker.wait()
    if maker.returncode != 0:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:]
        raise EnvironmentFault(f"TextWorld could not make {file.stem}: {' '.join(last) or 'no reason given'}")
