"""Worlds: back by the nearest snapshot or by a replay that is checked, and what breaks is closed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actorcritic.environments.web_shop import (
    INFO,
    ReplayedWebShop,
    WebShop,
    open_replayed_shop,
    open_shop,
    shop_problem,
)
from actorcritic.environments.worlds import Worlds, acted, problem_in, same_observation
from actorcritic.errors import EnvironmentFault, ReplayDiffers
from actorcritic.observation import Observation
from actorcritic.protocols import EnvironmentInfo, OpenEnvironment, SnapshotEnvironment
from actorcritic.types import Step
from tests.environments.world import SHOP, SIDE_EFFECTS, BrokenShop, CountedShop, DriftingShop, SideEffectShop, opener


async def play(worlds: Worlds, steps: Sequence[Step], *actions: str) -> tuple[list[Step], int]:
    """Act from where some steps lead; returns all steps and how many were replayed."""
    repeated: list[None] = []
    async with worlds.visit(steps) as visit:
        done = list(steps)
        for action in actions:
            seen = await visit.step(action, lambda: repeated.append(None))
            done.append(Step(text=action, observation=seen))
            visit.moved(done[-1])
    return done, len(repeated)


async def worlds_of(open: OpenEnvironment, info: EnvironmentInfo = INFO, *, allow_replay: bool = False) -> Worlds:
    return Worlds(open, info, await shop_problem(SHOP), allow_replay=allow_replay)


async def test_a_visit_goes_on_where_the_steps_end() -> None:
    for open in (open_shop, open_replayed_shop):
        worlds = await worlds_of(open)
        first, _ = await play(worlds, [], "search[lamp]")
        longer, _ = await play(worlds, first, "click[home]", "search[silent]")
        other, _ = await play(worlds, first, "click[next]")
        assert [step.text for step in longer] == ["search[lamp]", "click[home]", "search[silent]"]
        assert longer[-1].observation is not None and "found for silent" in longer[-1].observation.text
        assert other[-1].observation is not None and "found for lamp" in other[-1].observation.text


async def test_a_world_that_stands_there_already_replays_nothing() -> None:
    worlds = await worlds_of(open_replayed_shop)
    first, _ = await play(worlds, [], "search[lamp]")
    second, replayed = await play(worlds, first, "click[home]")
    assert replayed == 0
    _, replayed = await play(worlds, first, "click[home]")
    assert replayed == 1, "now it has gone on"
    _, replayed = await play(worlds, second, "search[silent]")
    assert replayed == 0, "the last visit ended there"


async def test_snapshots_replay_nothing() -> None:
    worlds = await worlds_of(open_shop)
    first, _ = await play(worlds, [], "search[lamp]", "click[home]", "search[silent]")
    for end in (1, 2, 3, 1):
        _, replayed = await play(worlds, first[:end], "click[home]")
        assert replayed == 0


async def test_steps_of_an_earlier_run_are_replayed_even_with_snapshots() -> None:
    steps, _ = await play(await worlds_of(open_shop), [], "search[lamp]", "click[home]")
    _, replayed = await play(await worlds_of(open_shop), steps, "search[silent]")
    assert replayed == 2


async def test_a_replay_is_checked_step_by_step() -> None:
    steps, _ = await play(await worlds_of(open_replayed_shop), [], "search[lamp]", "click[home]")
    forged = [steps[0], Step(text="click[home]", observation=Observation(text="elsewhere", state="0"))]
    with pytest.raises(ReplayDiffers, match=r"step 1 \('click\[home\]'\)"):
        await play(await worlds_of(open_replayed_shop), forged, "search[silent]")


async def test_a_drifting_world_is_found_out() -> None:
    worlds = await worlds_of(opener(DriftingShop))
    steps, _ = await play(worlds, [], "search[lamp]", "click[home]")
    with pytest.raises(ReplayDiffers):
        await play(worlds, steps[:1], "click[next]")


async def test_side_effects_are_not_repeated_unless_allowed() -> None:
    worlds = await worlds_of(opener(SideEffectShop), SIDE_EFFECTS)
    steps, _ = await play(worlds, [], "search[lamp]")
    with pytest.raises(ReplayDiffers, match="side effects"):
        await play(worlds, steps, "click[home]")
    allowed = await worlds_of(opener(SideEffectShop), SIDE_EFFECTS, allow_replay=True)
    assert (await play(allowed, steps, "click[home]"))[1] == 1


async def test_what_an_environment_raises_is_its_fault_and_closes_it() -> None:
    worlds = await worlds_of(opener(BrokenShop))
    with pytest.raises(EnvironmentFault, match="ConnectionError: the size server is down"):
        await play(worlds, [], "search[lamp]", "choose[small]")
    assert (await play(worlds, [], "search[lamp]"))[0], "another one is opened"


async def test_every_environment_is_closed_in_the_end() -> None:
    books: list[str] = []
    worlds = await worlds_of(opener(lambda seed: CountedShop(seed, books)))
    async with worlds.visit([]) as one, worlds.visit([]) as two:
        await one.step("search[lamp]", lambda: None)
        await two.step("search[lamp]", lambda: None)
        await worlds.aclose()
    assert books.count("opened") == books.count("closed") == 2


async def test_nothing_is_opened_before_the_first_action() -> None:
    books: list[str] = []
    worlds = await worlds_of(opener(lambda seed: CountedShop(seed, books)))
    async with worlds.visit([]):
        pass
    assert books == []


def test_states_are_compared_by_hash_or_else_by_all_that_is_shown() -> None:
    shown = Observation(text="a", reward=0.5)
    assert same_observation(shown, Observation(text="a", reward=0.5))
    assert not same_observation(shown, Observation(text="a", reward=0.25))
    assert same_observation(Observation(text="a", state="1"), Observation(text="b", state="1"))
    assert not same_observation(Observation(text="a", state="1"), Observation(text="a", state="2"))
    assert not same_observation(Observation(text="a", state="1"), Observation(text="a"))


def test_thinking_changes_no_world() -> None:
    did = Step(text="go", observation=Observation(text="there"))
    assert acted([Step(text="hm", thinking=True), did]) == (did,)


async def test_a_problem_is_what_an_environment_shows_first() -> None:
    problem = await problem_in(WebShop(SHOP), "p", meta={"shop": SHOP})
    first = await WebShop(SHOP).reset()
    assert (problem.prompt, problem.checker) == (first.text, "environment")
    assert problem.meta == {"shop": SHOP, "state": first.state, "actions": list(first.actions or ())}


def test_what_gives_snapshots_says_so() -> None:
    assert isinstance(WebShop(0), SnapshotEnvironment) and not isinstance(ReplayedWebShop(0), SnapshotEnvironment)
