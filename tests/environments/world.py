"""Shops that misbehave, players for them, and a search of one shop to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from actorcritic.budget import Budget, Spend, Steps
from actorcritic.codec import encode
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.shop_players import shop_critic, shop_shopper
from actorcritic.environments.web_shop import INFO, ReplayedWebShop, WebShop, open_shop, shop_seed
from actorcritic.graphs.environment_search import environment_settings
from actorcritic.graphs.session import Journal, ProblemResult, Session, SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.observation import Observation
from actorcritic.protocols import Environment, EnvironmentInfo, OpenEnvironment
from actorcritic.types import JsonValue, Problem

SHOP = 9
"""A shop in which greedy play does badly."""


class CountedShop(WebShop):
    """A shop that keeps books: of those opened, those closed, and the steps taken. One list for all of a test."""

    def __init__(self, seed: int, books: list[str]) -> None:
        super().__init__(seed)
        self._books = books
        books.append("opened")

    async def step(self, action: str) -> Observation:
        self._books.append(action)
        return await super().step(action)

    async def aclose(self) -> None:
        self._books.append("closed")


class SideEffectShop(ReplayedWebShop):
    """A shop whose steps change something outside; it gives no snapshots."""

    @property
    def info(self) -> EnvironmentInfo:
        return SIDE_EFFECTS


class SideEffectSnapshotShop(WebShop):
    @property
    def info(self) -> EnvironmentInfo:
        return SIDE_EFFECTS


SIDE_EFFECTS = replace(INFO, name="shop-with-side-effects", side_effects=True)


class DriftingShop(ReplayedWebShop):
    """A shop in which nothing is ever twice the same: every step shows how many were taken in this very world."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._taken = 0

    async def step(self, action: str) -> Observation:
        self._taken += 1
        seen = await super().step(action)
        return replace(seen, state=f"{seen.state}-{self._taken}")


class BrokenShop(WebShop):
    """A shop in which choosing a size breaks everything."""

    async def step(self, action: str) -> Observation:
        if action in ("choose[small]", "choose[medium]", "choose[large]"):
            raise ConnectionError("the size server is down")
        return await super().step(action)


def opener(kind: Callable[[int], Environment]) -> OpenEnvironment:
    """Return what opens shops of a kind."""

    async def open(problem: Problem) -> Environment:
        return kind(shop_seed(problem))

    return open


def settings(strategy: str, *, width: int = 1, steps: int | None = 60, tokens: int | None = None) -> SearchSettings:
    """Return how to search."""
    how = environment_settings(strategy, INFO, budget=Budget(steps=steps, tokens=tokens), width=width, seed=5)
    return how if tokens is None else replace(how, trial_tokens=3000)


def player(
    open: OpenEnvironment = open_shop,
    info: EnvironmentInfo = INFO,
    *,
    latencies: Sequence[float] = (),
    allow_replay: bool = False,
) -> EnvironmentActor:
    """Return an actor of the shop."""
    return EnvironmentActor(shop_shopper(latencies=latencies), open, info, allow_replay=allow_replay)


async def search(
    how: SearchSettings,
    problem: Problem,
    actor: EnvironmentActor | None = None,
    *,
    latencies: Sequence[float] = (),
    journal: Journal | None = None,
) -> tuple[ProblemResult, Session]:
    """Search a shop to the end."""
    session = new_session(problem, how, journal if journal is not None else SilentJournal())
    who = actor if actor is not None else player(latencies=latencies)
    critic = shop_critic(latencies=tuple(reversed(latencies)))
    return await search_problem(session, who, critic, how), session


def tree_of(session: Session) -> JsonValue:
    """Return all that a search came to, but for how often steps were replayed."""
    return [session.policy.dump(), *(encode(item) for item in (session.attempts, bill(session.ledger.spend)))]


def bill(spend: Spend) -> Spend:
    """Return a spend without what stands beside the bill."""
    return spend if spend.steps is None else replace(spend, steps=Steps(taken=spend.steps.taken))


def taken(spend: Spend) -> int:
    """Return how many steps are on the bill."""
    return 0 if spend.steps is None else spend.steps.taken


def replayed(spend: Spend) -> int:
    """Return how many steps were taken again."""
    return 0 if spend.steps is None else spend.steps.replayed
