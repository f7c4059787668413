"""The shop as an environment: text in, text out, snapshots or replay, a hash of every state.

    environment = WebShop(7)
    (await environment.reset()).text

Its reward is the task's own checker, given at the end alone; so a search that goes by it is an oracle run.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple

from actorcritic.environments.shop import ACTIONS, State, act, actions, draw_shop, earned, start
from actorcritic.environments.worlds import problem_in
from actorcritic.errors import InputError
from actorcritic.observation import Observation
from actorcritic.protocols import Environment, EnvironmentInfo
from actorcritic.types import Problem

__all__ = ["INFO", "ReplayedWebShop", "WebShop", "open_replayed_shop", "open_shop", "shop_problem", "shop_seed"]

INFO = EnvironmentInfo(name="web-shop-1", max_steps=ACTIONS)
SEED = "shop"
"""Field of a problem's `meta`: which shop."""


class ReplayedWebShop:
    """A shop that a search can only come back to by replay. Mutable: it stands in one state."""

    def __init__(self, seed: int) -> None:
        self._shop = draw_shop(seed)
        self._state = start()

    @property
    def info(self) -> EnvironmentInfo:
        """See `Environment.info`."""
        return INFO

    async def reset(self) -> Observation:
        """See `Environment.reset`."""
        self._state = start()
        wish = self._shop.wish
        task = (
            f"Shop {self._shop.seed}. Buy a {wish.category} that is {' and '.join(wish.features)}, in {wish.colour}, "
            f"size {wish.size}, for at most ${wish.price}. You have {ACTIONS} actions; what is bought is bought."
        )
        return self._shown(f"{task}\n\n{self._page()}")

    async def step(self, action: str) -> Observation:
        """See `Environment.step`."""
        before = self._state
        self._state = act(self._shop, before, action)
        if self._state.page == "end":
            return self._shown("Thank you for your order.", reward=earned(self._shop, before))
        known = action.strip().lower() in {one.lower() for one in actions(self._shop, before)}
        text = self._page() if known else f"There is no {action.strip()!r} here.\n\n{self._page()}"
        return self._shown(text, reward=0.0)

    async def aclose(self) -> None:
        """See `Environment.aclose`; it holds nothing."""

    def _shown(self, text: str, reward: float | None = None) -> Observation:
        done = self._state.page == "end" or self._state.left == 0
        return Observation(
            text="Your time is up." if done and self._state.page != "end" else text,
            reward=reward,
            done=done,
            actions=() if done else actions(self._shop, self._state),
            state=hashlib.sha256(repr((self._shop.seed, *astuple(self._state))).encode()).hexdigest()[:16],
        )

    def _page(self) -> str:
        """Return what the present page says."""
        state, shop = self._state, self._shop
        if state.page == "home":
            return "You are at the shop's front page, where you can search."
        if state.page == "results":
            found = shop.found(state.query)
            shown = [good for good in found if f"click[{good.id}]" in actions(shop, state)]
            return "\n".join([f"{len(found)} found for {state.query}:", *(f"{g.id}: {g.title}" for g in shown)])
        good = next(good for good in shop.goods if good.id == state.good)
        chosen = ", ".join(filter(None, (state.colour, state.size))) or "nothing"
        return (
            f"{good.id}: a {good.category}, {', '.join(sorted(good.features))}, ${good.price}.\n"
            f"Colours: {', '.join(good.colours)}. Sizes: {', '.join(good.sizes)}. Chosen: {chosen}."
        )


class WebShop(ReplayedWebShop):
    """A shop that gives snapshots."""

    async def snapshot(self) -> State:
        """See `SnapshotEnvironment.snapshot`."""
        return self._state

    async def restore(self, snapshot: object) -> None:
        """See `SnapshotEnvironment.restore`."""
        assert isinstance(snapshot, State)  # it came from a shop
        self._state = snapshot


def shop_seed(problem: Problem) -> int:
    """Return which shop a problem is about.

    Raises:
        InputError: it is about none.
    """
    seed = problem.meta.get(SEED)
    if not isinstance(seed, int):
        raise InputError(f"problem {problem.id!r} names no shop: put its number under meta.{SEED}")
    return seed


async def open_shop(problem: Problem) -> Environment:
    """Open the shop of a problem; see `OpenEnvironment`."""
    return WebShop(shop_seed(problem))


async def open_replayed_shop(problem: Problem) -> Environment:
    """Open it without snapshots."""
    return ReplayedWebShop(shop_seed(problem))


async def shop_problem(seed: int) -> Problem:
    """Return the problem of the shop of a seed, >= 0."""
    return await problem_in(WebShop(seed), f"shop-{seed}", meta={SEED: seed})
