"""The check of environments finds nothing in good ones and something in each kind of bad one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from actorcritic.environments.conformance import check_environment
from actorcritic.environments.web_shop import INFO, ReplayedWebShop, WebShop, shop_problem
from actorcritic.errors import InputError
from actorcritic.observation import Observation
from actorcritic.protocols import Environment, EnvironmentInfo
from tests.environments.world import SHOP, DriftingShop, opener


class Generous(ReplayedWebShop):
    async def step(self, action: str) -> Observation:
        return replace(await super().step(action), reward=0.75)


class Endless(ReplayedWebShop):
    async def step(self, action: str) -> Observation:
        return replace(await super().step("wait"), done=False, actions=("wait",))


class Chatty(ReplayedWebShop):
    async def step(self, action: str) -> Observation:
        return replace(await super().step(action), actions=("buy", "wait"))


class Forgetful(WebShop):
    async def restore(self, snapshot: object) -> None:
        await self.reset()


class Silent(ReplayedWebShop):
    @property
    def info(self) -> EnvironmentInfo:
        return replace(INFO, max_steps=None)

    async def reset(self) -> Observation:
        return replace(await super().reset(), actions=None)

    async def step(self, action: str) -> Observation:
        return replace(await super().step(action), actions=None)


@pytest.mark.parametrize("kind", [WebShop, ReplayedWebShop])
async def test_the_shop_passes(kind: Callable[[int], Environment]) -> None:
    assert await check_environment(opener(kind), await shop_problem(SHOP), episodes=12) == ()


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (DriftingShop, "a replay would fail"),
        (Generous, r"not to a return in \[0, 1\]"),
        (Endless, "though it declares that limit"),
        (Chatty, "something to do after the end"),
        (Forgetful, "after a restore"),
    ],
)
async def test_what_a_search_relies_on_is_checked(kind: Callable[[int], Environment], complaint: str) -> None:
    found = await check_environment(opener(kind), await shop_problem(SHOP), episodes=8)
    with pytest.raises(AssertionError, match=complaint):
        assert not found, "; ".join(found)


async def test_another_beginning_is_found() -> None:
    problem = await shop_problem(SHOP)
    found = await check_environment(opener(WebShop), replace(problem, meta={**problem.meta, "state": "other"}))
    assert found == ("it does not begin in the state that the problem names",)


async def test_without_actions_nothing_can_be_checked() -> None:
    problem = await shop_problem(SHOP)
    with pytest.raises(InputError, match="give some actions"):
        await check_environment(opener(Silent), problem)
    assert await check_environment(opener(Silent), problem, ["search[lamp]", "click[home]"], episodes=2) == ()
