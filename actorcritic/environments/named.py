"""Environments by name, as the command line takes them: `shop`, and `textworld:LEVEL` of the extra `textworld`.

Each comes with problems of either side of the held-out rule, and with doubles that play and judge in it. An environment
of your own needs no name: `graphs.environment_runs.search_environments` takes any.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count, islice

from actorcritic.actor import ModelActor
from actorcritic.critic import ModelCritic
from actorcritic.environments.shop_players import shop_critic, shop_shopper
from actorcritic.environments.textworld import LEVELS, TextWorldGames, game_seeds, textworld_info
from actorcritic.environments.textworld_players import textworld_cook, textworld_judge
from actorcritic.environments.web_shop import INFO, open_shop, shop_problem
from actorcritic.errors import InputError
from actorcritic.protocols import EnvironmentInfo, OpenEnvironment
from actorcritic.tasks.heldout import KEY, Split, split_of
from actorcritic.types import Problem

__all__ = ["ENVIRONMENT_NAMES", "NamedEnvironment", "environment_named"]

SHOP, TEXTWORLD = "shop", "textworld"
ENVIRONMENT_NAMES = (SHOP, *(f"{TEXTWORLD}:{level}" for level in LEVELS))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEnvironment:
    """An environment, its problems and its doubles."""

    name: str
    info: EnvironmentInfo
    open: OpenEnvironment
    problem: Callable[[int], Awaitable[Problem]]
    """Gives the problem of a seed."""
    seeds: Callable[[Split, int], tuple[int, ...]]
    """Gives the first seeds of a split, so many; fewer are the beginning of more."""
    player: Callable[[], ModelActor]
    """Makes a double that plays."""
    judge: Callable[[], ModelCritic]
    """Makes a double that judges."""
    partial: bool
    """Whether what an unfinished episode has earned counts: the environment rewards progress."""

    async def draw(self, split: Split, number: int) -> list[Problem]:
        """Return the first problems of a split.

        Args:
            split: Which side of the published rule.
            number: How many, >= 1.
        """
        return [await self.problem(seed) for seed in self.seeds(split, number)]


def environment_named(name: str) -> NamedEnvironment:
    """Return an environment.

    Raises:
        InputError: there is none of this name, or its extra is missing.
    """
    kind, _, level = name.partition(":")
    if name == SHOP:
        return NamedEnvironment(
            name=name,
            info=INFO,
            open=open_shop,
            problem=_shop,
            seeds=_shops,
            player=shop_shopper,
            judge=shop_critic,
            partial=False,
        )
    if kind == TEXTWORLD and level in LEVELS:
        games = TextWorldGames()
        return NamedEnvironment(
            name=name,
            info=textworld_info(level),
            open=games.open,
            problem=lambda seed: games.problem(level, seed),
            seeds=lambda split, number: game_seeds(level, split, number),
            player=textworld_cook,
            judge=textworld_judge,
            partial=True,
        )
    raise InputError(f"unknown environment {name!r}; choose from: {', '.join(ENVIRONMENT_NAMES)}")


async def _shop(seed: int) -> Problem:
    problem = await shop_problem(seed)
    return replace(problem, meta={**problem.meta, KEY: _shop_key(seed)})


def _shops(split: Split, number: int) -> tuple[int, ...]:
    return tuple(islice((seed for seed in count(1) if split_of(_shop_key(seed)) == split), number))


def _shop_key(seed: int) -> str:
    return f"shop:{seed}"
