"""Scores beside the critic's: who gives a trial its reward, and the call that does it.

Which source a trial wants stands in its options. Whatever fails comes back as data; the solution stands, unscored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actorcritic.errors import BudgetExhausted, InputError, RecordError
from actorcritic.protocols import Meter, RewardModel
from actorcritic.scores import checked_reward
from actorcritic.search.policy import REWARD
from actorcritic.search.strategies import StrategySpec, needs_oracle, score_source
from actorcritic.types import Failure, Payload, Problem, Reward, Solution, Trial, Verdict

__all__ = ["Scorers", "check_named", "check_scorers", "gold_verdict", "score", "wants_reward"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorers:
    """Who scores solutions in a run beside its critic."""

    reward_model: RewardModel | None = None
    verifier: RewardModel | None = None
    """A verifier as a scorer (`VerifierRewardModel`, `FunctionRewardModel`); an oracle makes the run an oracle run."""

    def of(self, source: object) -> RewardModel | None:
        """Return who stands behind a source of `ranking.SCORE`; None = nobody, or no scorer's business."""
        if source == "reward-model":
            return self.reward_model
        return self.verifier if source == "verifier" else None

    @property
    def gold(self) -> RewardModel | None:
        """The verifier, if it is an oracle."""
        return self.verifier if self.verifier is not None and self.verifier.oracle else None

    def oracle(self, strategy: StrategySpec) -> bool:
        """Return whether a strategy uses an oracle among them."""
        scorer = self.gold if needs_oracle(strategy) else self.of(score_source(strategy))
        return scorer is not None and scorer.oracle


def check_scorers(spec: StrategySpec, scorers: Scorers) -> None:
    """Refuse a strategy whose scores nobody gives.

    Raises:
        InputError: says what to give.
    """
    check_named(spec, reward_model=scorers.reward_model is not None, verifier=scorers.verifier is not None)


def check_named(spec: StrategySpec, *, reward_model: bool, verifier: bool) -> None:
    """As `check_scorers`, where it is only known yet what there will be.

    Raises:
        InputError: says what to give.
    """
    source = score_source(spec)
    if source == "reward-model" and not reward_model:
        raise InputError(
            f"the strategy {spec} needs a reward model: give one (--reward-model), or choose another score"
        )
    if source == "verifier" and not verifier:
        raise InputError(
            f"the strategy {spec} needs a verifier: give one (--verifier), or choose another score; the task's own "
            "checker (--verifier oracle) makes it an oracle run"
        )


def wants_reward(trial: Trial, solution: Solution) -> bool:
    """Return whether a trial's result is to be scored: not where nobody asked, nor a text that was cut off."""
    return trial.options.get(REWARD) is not None and (solution.complete or "max_steps" in trial.options)


async def score(
    scorers: Scorers,
    problem: Problem,
    trial: Trial,
    solution: Solution,
    meter: Meter,
    emit: Callable[[Trial, Payload], None],
) -> Reward | None:
    """Let the trial's source score a solution; None where it failed or the budget ended: the solution stands, unscored.

    Args:
        scorers: Who scores.
        problem: What was asked.
        trial: Whose options name the source.
        solution: What it wrote.
        meter: Through which calls are made.
        emit: Takes the reward, or the failure.
    """
    source = trial.options.get(REWARD)
    scorer = scorers.of(source)
    if scorer is None:
        return None
    try:
        reward = checked_reward(await scorer.score(problem, solution, meter=meter), solution, f"the {source}")
    except BudgetExhausted:
        return None
    except RecordError:
        raise  # what cannot be logged must not go on as if it had been
    except Exception as error:  # noqa: BLE001 - whatever a scorer fails of is recorded; the solution stands, unscored
        where = "verifier" if source == "verifier" else "reward_model"
        emit(trial, Failure(where=where, type=type(error).__name__, message=str(error) or type(error).__name__))
        return None
    emit(trial, reward)
    return reward


async def gold_verdict(
    gold: RewardModel,
    problem: Problem,
    trial: Trial,
    solution: Solution,
    meter: Meter,
    emit: Callable[[Trial, Payload], None],
) -> Verdict:
    """Return what the gold side says of a whole solution; unscored where it failed or has nothing to compare with."""
    try:
        score = checked_reward(await gold.score(problem, solution, meter=meter), solution, "the verifier").score
    except BudgetExhausted:
        return Verdict.UNSCORED
    except RecordError:
        raise  # what cannot be logged must not go on as if it had been
    except Exception as error:  # noqa: BLE001 - whatever a checker fails of is recorded; the solution stands, unscored
        emit(trial, Failure(where="verifier", type=type(error).__name__, message=str(error) or type(error).__name__))
        return Verdict.UNSCORED
    if score is None:
        return Verdict.UNSCORED
    return Verdict.CORRECT if score == 1 else Verdict.INCORRECT
