"""A driver and an actor-critic pair without models, for testing policies alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from actorcritic.search.base import TreePolicy
from actorcritic.search.tree import Status
from actorcritic.types import Action, Failure, Outcome, Trial, Verdict

World = Callable[[TreePolicy, Trial], Outcome | Failure]

BROKEN = Failure(where="actor", type="EngineError", message="scripted")


@dataclass
class Random:
    """Outcomes that depend on the trial alone: the same trial always comes out the same."""

    seed: int = 0
    right: float = 0.2
    """How often a solution is right."""
    broken: float = 0.0
    """How often a trial fails."""
    unscored: float = 0.1
    """How often the critic says nothing."""
    steps: int = 4

    def __call__(self, policy: TreePolicy, trial: Trial) -> Outcome | Failure:
        draw = random.Random(f"{self.seed} {trial.id} {trial.action} {trial.parent}")
        if draw.random() < self.broken:
            return BROKEN
        steps, complete = self._length(policy, trial, draw)
        right = draw.random() < self.right
        scored = trial.options["critique"] and draw.random() >= self.unscored
        verdict = (Verdict.CORRECT if right else Verdict.INCORRECT) if scored else Verdict.UNSCORED
        each = random.Random(f"{self.seed} {trial.id}")
        rewarded = (
            trial.options.get("reward") is not None
            and random.Random(f"{self.seed} {trial.id} r").random() >= self.unscored
        )
        return Outcome(
            complete=complete,
            vote_key=("right" if right else draw.choice(["x", "y", "z"])) if complete else None,
            verdict=verdict,
            first_error=draw.randrange(steps) if verdict is Verdict.INCORRECT and draw.random() < 0.9 else None,
            score=round(draw.random(), 6) if scored else None,
            logprob=-round(draw.random(), 6),
            least_confident=draw.randrange(steps),
            steps=steps,
            tokens=draw.randrange(1, 50),
            step_scores=tuple(round(each.random(), 3) for _ in range(steps)) if scored else (),
            reward=round(each.random(), 6) if rewarded else None,
            step_rewards=tuple(round(each.random(), 3) for _ in range(steps)) if rewarded else (),
        )

    def _length(self, policy: TreePolicy, trial: Trial, draw: random.Random) -> tuple[int, bool]:
        most = trial.options.get("max_steps")
        if not isinstance(most, int):
            return self.steps, draw.random() < 0.95
        parent = None if trial.parent is None else policy.tree[trial.parent].outcome
        steps = (parent.steps if parent is not None else 0) + most
        return steps, steps >= self.steps


@dataclass
class Driver:
    """Keeps `width` trials in flight and tells them in trial order, as the real one does."""

    world: World
    width: int = 1
    trials: int = 200
    """How many trials it makes at most: its budget."""
    asked: list[Trial] = field(default_factory=list[Trial])
    unwanted: set[int] = field(default_factory=set[int])

    def run(self, policy: TreePolicy) -> TreePolicy:
        """Drive a policy to its end, or to the end of the budget."""
        window: list[Trial] = [node.trial for node in policy.tree if node.status is Status.ASKED]
        while True:
            room = min(self.width - len(window), self.trials - len(policy.tree))
            new = policy.ask(room) if room > 0 else ()
            self.asked.extend(new)
            window.extend(new)
            if not window:
                return policy
            self.settle(policy, window.pop(0))

    def settle(self, policy: TreePolicy, trial: Trial) -> None:
        """Tell one result, unless it stopped to matter."""
        self.unwanted.update(policy.cancelled())
        if trial.id in self.unwanted:
            return
        result = self.world(policy, trial)
        if isinstance(result, Failure):
            policy.fail(trial.id, result)
        else:
            policy.tell(trial.id, result)


def outcome(
    score: float | None = None,
    *,
    key: str | None = None,
    correct: bool | None = None,
    error: int | None = None,
    complete: bool = True,
    logprob: float | None = None,
    least_confident: int | None = None,
    reward: float | None = None,
) -> Outcome:
    """Return an outcome in few words; the verdict follows from `correct`, or from the error."""
    if correct is None and error is not None:
        correct = False
    verdict = Verdict.UNSCORED if correct is None else (Verdict.CORRECT if correct else Verdict.INCORRECT)
    return Outcome(
        complete=complete,
        vote_key=key,
        verdict=verdict,
        first_error=error,
        score=score,
        logprob=logprob,
        least_confident=least_confident,
        reward=reward,
        steps=4,
    )


def tell_all(policy: TreePolicy, outcomes: Iterable[Outcome | None]) -> list[Trial]:
    """Ask and tell in turn; None = a failure."""
    trials: list[Trial] = []
    for result in outcomes:
        (trial,) = policy.ask()
        trials.append(trial)
        if result is None:
            policy.fail(trial.id, BROKEN)
        else:
            policy.tell(trial.id, result)
    return trials


def shape(policy: TreePolicy) -> list[tuple[Action, int | None]]:
    """Return what was done to which node, in order."""
    return [(node.trial.action, node.parent) for node in policy.tree]
