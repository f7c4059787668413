"""Episodes as solutions: what they earned, whether that is a success, by what they are told apart."""

from __future__ import annotations

import pytest

from actorcritic.environments.scoring import EnvironmentReward
from actorcritic.environments.web_shop import INFO
from actorcritic.errors import InputError
from actorcritic.metering import free_meter
from actorcritic.observation import Observation
from actorcritic.tasks.checkers import checker_of, has_gold, verify, vote_key
from actorcritic.tasks.environment import episode_return
from actorcritic.types import Problem, Reference, Solution, Step

PROBLEM = Problem(id="p", prompt="Open the chest.", checker="environment")


def episode(*rewards: float | None, complete: bool = True) -> Solution:
    steps = [
        Step(text=f"act {place}", observation=Observation(text="seen", reward=reward))
        for place, reward in enumerate(rewards)
    ]
    return Solution(steps=tuple(steps), complete=complete)


@pytest.mark.parametrize(
    ("rewards", "earned"),
    [((), None), ((None,), None), ((None, 0.5), 0.5), ((0.1,) * 10, 1.0), ((0.5, -0.75), 0.0), ((0.75, 0.5), 1.0)],
)
def test_rewards_add_up(rewards: tuple[float | None, ...], earned: float | None) -> None:
    assert episode_return(episode(*rewards)) == earned


@pytest.mark.parametrize(
    ("solution", "right"),
    [
        (episode(0.25, 0.75), True),
        (episode(0.25), False),
        (episode(1.0, complete=False), False),
        (episode(None), None),
        (None, False),
    ],
)
async def test_a_success_earned_everything(solution: Solution | None, right: bool | None) -> None:
    assert await verify(PROBLEM, solution, Reference()) is right
    assert has_gold(PROBLEM, Reference()) and checker_of(PROBLEM) == "environment"


async def test_episodes_are_told_apart_by_what_was_done() -> None:
    thinking = Step(text="hm", thinking=True)
    first = episode(0.0, 1.0)
    assert await vote_key(PROBLEM, first) == "act 0\nact 1"
    assert await vote_key(PROBLEM, Solution(steps=(thinking, *first.steps))) == "act 0\nact 1"
    assert await vote_key(PROBLEM, Solution(steps=(thinking,))) is None


async def test_an_unfinished_episode_is_unscored_unless_progress_counts() -> None:
    half = episode(0.5, complete=False)
    final, so_far = EnvironmentReward(INFO), EnvironmentReward(INFO, partial=True)
    assert (await final.score(PROBLEM, half, meter=free_meter())).score is None
    assert (await so_far.score(PROBLEM, half, meter=free_meter())).score == 0.5
    assert (await final.score(PROBLEM, episode(0.5), meter=free_meter())).score == 0.5
    assert final.oracle and (await final.score(PROBLEM, half, meter=free_meter())).oracle


@pytest.mark.parametrize("rewards", [(0.5, float("nan")), (float("inf"),), (5.0,), (0.75, 0.5)])
async def test_a_return_that_is_none_is_no_score(rewards: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"rewards that add up to .*: the return .* is a number in \[0, 1\]"):
        await EnvironmentReward(INFO).score(PROBLEM, episode(*rewards), meter=free_meter())
