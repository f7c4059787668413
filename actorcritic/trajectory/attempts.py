"""What the log knows of one trial, frozen: the action, what it brought, what was said of it, every call it made.

Built by `episodes`; knows no event and no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actorcritic.agent_steps import Judgement, Phase, ToolStatus
from actorcritic.metering import Call, EnvironmentStep
from actorcritic.types import Action, Critique, Failure, JsonValue, Outcome, Prompt, Role, Solution, Trial

__all__ = ["Derived", "EpisodeAttempt", "LoggedJudgement", "LoggedScore", "LoggedToolCall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedScore:
    """What somebody said of an attempt, during the run or long after it."""

    by: str
    """Who: `checker:NAME`, `user:thumb`, the name of a reward model ..."""
    score: float
    gold: bool
    """True where a gold answer or the task's own checker stands behind it."""
    time: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedToolCall:
    """A tool call that ended, or was refused."""

    name: str
    arguments: JsonValue
    """As the model wrote them; may be malformed."""
    result: JsonValue
    """What the model was told, or what went wrong; cut where `length` says more."""
    step: int | None = None
    """Of the agent, 0-based."""
    id: str = ""
    """Of the call, as the model named it."""
    status: ToolStatus = "done"
    error: str | None = None
    """See `ToolResult`."""
    length: int | None = None
    """Characters that the tool gave back."""
    seconds: float | None = None
    by: Role = "actor"
    """Who called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedJudgement:
    """What a step critic said, before an action or after an observation."""

    step: int
    """Of the agent, 0-based."""
    phase: Phase
    judgement: Judgement
    of: str = ""
    """A hash of what was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a collection step made of a trial, or of the problem as a whole, after the search."""

    step: str
    """Name of the collection step."""
    trial: int | None
    """The trial that it was made of; None = the problem."""
    payload: Mapping[str, JsonValue]
    """The fields that the step documents, its name left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeAttempt:
    """One trial: what it was asked to do and what came of it."""

    trial: Trial
    solution: Solution | None = None
    """None where the trial failed, was cancelled, or had not come back."""
    critique: Critique | None = None
    """None where no critic ran or it failed."""
    outcome: Outcome | None = None
    """What the policy was told; None where it was told a failure or nothing."""
    failure: Failure | None = None
    """Why there is no solution."""
    settled: bool = False
    """Whether the trial was committed; one in flight when the log broke off is not."""
    calls: tuple[Call, ...] = ()
    """Every call that ended, with prompt, seed, tokens and log-probabilities, those that brought nothing included."""
    steps: tuple[EnvironmentStep, ...] = ()
    """Every step that it took itself in an environment, those that failed included."""
    tool_calls: tuple[LoggedToolCall, ...] = ()
    judgements: tuple[LoggedJudgement, ...] = ()
    """Of step critics, in the order in which they came."""
    scores: tuple[LoggedScore, ...] = ()
    """In the order in which they came; those of after the run last."""
    visits: int | None = None
    """Results backed up through this node of the search tree, >= 1; None where the strategy counts none."""
    value: float | None = None
    """Their mean value, in [0, 1]."""

    @property
    def id(self) -> int:
        """Number of the trial, in the order of asking."""
        return self.trial.id

    @property
    def parent(self) -> int | None:
        """The trial whose solution this one starts from; None for a first attempt."""
        return self.trial.parent

    @property
    def action(self) -> Action:
        """What the trial did."""
        return self.trial.action

    @property
    def complete(self) -> bool:
        """Whether there is a solution with a natural end."""
        return self.solution is not None and self.solution.complete

    @property
    def correct(self) -> bool | None:
        """Whether the last word with a gold side behind it says so (a score of 1); None = nobody knows."""
        return next((score.score >= 1.0 for score in reversed(self.scores) if score.gold), None)

    @property
    def prompt(self) -> Prompt | None:
        """What the actor was sent first; None where it was not called or prompts are withheld."""
        call = self._first_call
        return None if call is None else call.request.prompt

    @property
    def seed(self) -> int | None:
        """The seed of the actor's first call."""
        call = self._first_call
        return None if call is None else call.request.seed

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Ids of what this trial wrote itself, without the steps it kept; empty where one step lacks them."""
        steps = () if self.solution is None else self.solution.steps[self.solution.kept :]
        return tuple(token for step in steps for token in step.token_ids) if all(s.token_ids for s in steps) else ()

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Per token of `token_ids`, natural logarithms under the model's own distribution; empty where one lacks."""
        steps = () if self.solution is None else self.solution.steps[self.solution.kept :]
        return tuple(value for step in steps for value in step.logprobs) if all(s.logprobs for s in steps) else ()

    @property
    def _first_call(self) -> Call | None:
        return next((call for call in self.calls if call.role == "actor"), None)
