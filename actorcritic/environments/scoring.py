"""The environment's own reward as the score of an episode, for strategies with `score=verifier`.

Makes no call: the rewards stand in the steps. Where the environment declares that its reward is the task's checker, a
search that goes by it is an oracle run and says so.
"""

from __future__ import annotations

import math

from actorcritic.errors import InputError
from actorcritic.protocols import EnvironmentInfo, Meter
from actorcritic.tasks.environment import episode_return
from actorcritic.types import Problem, Reward, Solution

__all__ = ["EnvironmentReward"]

_ROUNDING = 1e-9


class EnvironmentReward:
    """A `RewardModel` that reads an episode's return.

    Args:
        info: What the environment declares.
        partial: Count what an unfinished episode has earned so far; otherwise it is unscored, as suits an environment
            that rewards nothing but the end.
    """

    def __init__(self, info: EnvironmentInfo, *, partial: bool = False) -> None:
        self._info = info
        self._partial = partial

    @property
    def oracle(self) -> bool:
        """See `RewardModel.oracle`."""
        return self._info.oracle

    async def score(self, problem: Problem, solution: Solution, *, meter: Meter) -> Reward:
        """See `RewardModel.score`; an ended episode without any reward is unscored, too.

        Raises:
            InputError: the environment gave a reward that is no number, or an ended episode more than 1 in all.
        """
        counts = solution.complete or self._partial
        self._check(solution)
        return Reward(
            score=episode_return(solution) if counts else None,
            by=f"environment:{self._info.name}",
            oracle=self._info.oracle,
        )

    def _check(self, solution: Solution) -> None:
        rewards = [step.observation.reward for step in solution.steps if step.observation is not None]
        known = [reward for reward in rewards if reward is not None]
        total = math.fsum(known) if all(map(math.isfinite, known)) else math.nan
        if math.isnan(total) or (solution.complete and total > 1 + _ROUNDING):
            raise InputError(
                f"the environment {self._info.name} gave rewards that add up to {total:g}: the return of an episode is "
                "a number in [0, 1], 1 = all that can be had"
            )
