"""Reward models: who gives a solution and its steps numbers, without words.

`EngineRewardModel` asks a process or outcome reward model, `FunctionRewardModel` wraps the caller's own function,
`VerifierRewardModel` lets a verifier score a run, `CriticRewardModel` takes a critic's numbers alone. What cannot be
scored is None, never 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeAlias

from actorcritic.errors import InputError
from actorcritic.protocols import Critic, Engine, Meter, Verifier
from actorcritic.scores import checked_reward, read_score
from actorcritic.types import GenerateRequest, Message, Problem, Prompt, Reference, Reward, Sampling, Solution

__all__ = [
    "CriticRewardModel",
    "EngineRewardModel",
    "FunctionRewardModel",
    "ScoreFunction",
    "VerifierRewardModel",
    "scoring_prompt",
]

_Scored: TypeAlias = Reward | bool | float | None

ScoreFunction: TypeAlias = Callable[[Problem, Solution], _Scored | Awaitable[_Scored]]
"""Scores a solution: a number in [0, 1], True, False, None for unscored, or a `Reward` with one score per step."""

GREEDY = Sampling(temperature=0.0)
SEED = 0
"""A score is not drawn: the same solution is the same request in every trial."""


class EngineRewardModel:
    """A `RewardModel` over an engine that scores.

    Such an engine takes a question followed by one assistant message per step (see `scoring_prompt`) and answers with a
    JSON object: `score` of the whole and `steps`, one number per message or none at all, each in [0, 1] or null. It
    writes no token, so that a score costs its prompt.
    """

    oracle = False

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def score(self, problem: Problem, solution: Solution, *, meter: Meter) -> Reward:
        """See `RewardModel.score`; steps inside a thinking block are not shown, and stay unscored."""
        by = self.engine.info.name
        if all(step.thinking for step in solution.steps):
            return Reward(score=None, by=by)
        request = GenerateRequest(
            prompt=scoring_prompt(problem, solution), max_tokens=1, sampling=GREEDY, seed=SEED, logprobs=False
        )
        generation = await meter.generate(self.engine, request, role="reward_model")
        return _read(generation.text, solution, by)


class FunctionRewardModel:
    """A `RewardModel` over the caller's own function, plain or asynchronous; makes no model call.

    Args:
        function: Scores a solution; see `ScoreFunction`.
        oracle: Say True where it looks at a gold answer or at the task's own checker.
        name: How a person calls it.
    """

    def __init__(self, function: ScoreFunction, *, oracle: bool = False, name: str = "function") -> None:
        self._function = function
        self._oracle = oracle
        self._name = name

    @property
    def oracle(self) -> bool:
        """See `RewardModel.oracle`."""
        return self._oracle

    async def score(self, problem: Problem, solution: Solution, *, meter: Meter) -> Reward:
        """See `RewardModel.score`.

        Raises:
            InputError: the function returned no number in [0, 1], or scores of some steps only. In a search that is
                this trial's failure: the solution stands, unscored.
        """
        result = self._function(problem, solution)
        scored: object = await result if isawaitable(result) else result
        if not isinstance(scored, Reward):
            scored = Reward(score=read_score(scored, f"{self._name} gave"))
        reward = checked_reward(scored, solution, self._name)
        return replace(reward, by=self._name, oracle=self._oracle)


class VerifierRewardModel:
    """A `RewardModel` that gives 1 to what a verifier calls right and 0 to what it calls wrong; makes no model call.

    Args:
        verifier: Who knows.
        references: The gold side by problem id. Only an oracle is shown it.
        oracle: Say False only of a verifier that works from what the problem itself says, such as unit tests in the
            prompt: then it gets an empty reference, and the run is no oracle run.
        name: How a person calls it.
    """

    def __init__(
        self,
        verifier: Verifier,
        references: Mapping[str, Reference] | None = None,
        *,
        oracle: bool = True,
        name: str = "verifier",
    ) -> None:
        if references and not oracle:
            raise InputError("a verifier that is shown gold answers is an oracle: leave out the references")
        self._verifier = verifier
        self._references = dict(references or {})
        self._oracle = oracle
        self._name = name

    @property
    def oracle(self) -> bool:
        """See `RewardModel.oracle`."""
        return self._oracle

    async def score(self, problem: Problem, solution: Solution, *, meter: Meter) -> Reward:
        """See `RewardModel.score`; a partial solution is unscored, since nothing says that it will end wrong."""
        right: bool | None = None
        if solution.complete:
            right = await self._verifier.verify(problem, solution, self._references.get(problem.id, Reference()))
        return Reward(score=None if right is None else float(right), by=self._name, oracle=self._oracle)


class CriticRewardModel:
    """A `RewardModel` that takes the numbers of a critic and leaves its words; what the critic spends is the critic's.

    Args:
        critic: Who judges, such as `CalculationCritic(accept=True)`.
        name: How a person calls it.
    """

    def __init__(self, critic: Critic, *, name: str = "critic") -> None:
        self._critic = critic
        self._name = name

    @property
    def oracle(self) -> bool:
        """See `RewardModel.oracle`."""
        return self._critic.oracle

    async def score(self, problem: Problem, solution: Solution, *, meter: Meter) -> Reward:
        """See `RewardModel.score`."""
        critique = await self._critic.critique(problem, solution, meter=meter)
        steps = tuple(step.score for step in critique.steps)
        return Reward(score=critique.score, steps=steps, by=self._name, oracle=critique.oracle)


def scoring_prompt(problem: Problem, solution: Solution) -> Prompt:
    """Return what a scoring engine is asked: the question as a user message, then every visible step as one message."""
    steps = tuple(Message(role="assistant", content=step.text) for step in solution.steps if not step.thinking)
    return Prompt(content=(Message(role="user", content=_question(problem)), *steps))


def _question(problem: Problem) -> str:
    """Return all that is asked, as plain text; several messages go under their speakers' names."""
    if isinstance(problem.prompt, str):
        return problem.prompt
    if len(problem.prompt) == 1:
        return problem.prompt[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in problem.prompt)


def _read(text: str, solution: Solution, by: str) -> Reward:
    """Read a scoring engine's answer; one that does not fit the solution leaves it unscored."""
    shown = [index for index, step in enumerate(solution.steps) if not step.thinking]
    try:
        answer: Any = json.loads(text)
        scores = [_number(item) for item in answer["steps"]]
        score = _number(answer["score"])
    except (ValueError, TypeError, KeyError):
        return Reward(score=None, by=by)
    if not scores:
        return Reward(score=score, by=by)
    if len(scores) != len(shown):
        return Reward(score=None, by=by)
    steps: list[float | None] = [None] * len(solution.steps)
    for index, item in zip(shown, scores, strict=True):
        steps[index] = item
    return Reward(score=score, steps=tuple(steps), by=by)


def _number(value: object) -> float | None:
    """Return a score in [0, 1], None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0.0 <= value <= 1.0 else None
