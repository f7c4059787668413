"""Every exception that the library raises on purpose.

    ActorCriticError
    ├── InputError              a bad problem, option or file: one line that says what to do
    ├── BudgetExhausted         the next call does not fit into what is left
    ├── NoResult                no call of a caller's own function brought anything
    ├── EngineError             an engine could not answer (`retryable` says whether to try again)
    │   ├── EngineUnavailable   the engine, its model or its server is missing or dead
    │   └── PromptTooLong       the prompt does not fit into the model's context
    ├── ToolError               a tool failed or refused its arguments
    ├── EnvironmentFault        an environment broke down
    │   └── ReplayDiffers       it did not come back to the state that was logged, or may not be replayed at all
    └── RecordError             a run folder is locked, unreadable or of another version

A failed trial is data, not a crash: drivers turn these into `Failure` values. Whatever is not in this tree is a defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from actorcritic.types import StopReason, Usage

__all__ = [
    "ActorCriticError",
    "BudgetExhausted",
    "EngineError",
    "EngineUnavailable",
    "EnvironmentFault",
    "InputError",
    "NoResult",
    "PromptTooLong",
    "RecordError",
    "ReplayDiffers",
    "ToolError",
]


class ActorCriticError(Exception):
    """The root of the tree."""


class InputError(ActorCriticError):
    """Bad input; the message is one line that says what to change (exit code 2)."""


class BudgetExhausted(ActorCriticError):
    """The next call does not fit into the budget.

    Attributes:
        limit: which limit is spent: "tokens", "calls", "steps", "seconds" or "money".
    """

    def __init__(self, limit: Literal["tokens", "calls", "steps", "seconds", "money"], message: str = "") -> None:
        super().__init__(message or f"the budget of {limit} is spent")
        self.limit: Literal["tokens", "calls", "steps", "seconds", "money"] = limit


class NoResult(ActorCriticError):
    """A search over a caller's own function ended without a single value.

    Attributes:
        errors: what the calls raised, in the order in which they were made; the first is the cause, too.
        stopped_by: why the search ended.
        usage: what was spent all the same.
        money: likewise, in the caller's currency.
    """

    def __init__(self, errors: Sequence[Exception], stopped_by: StopReason, usage: Usage, money: float = 0.0) -> None:
        first = f"; the first of {len(errors)} errors: {type(errors[0]).__name__}: {errors[0]}" if errors else ""
        super().__init__(f"no call brought a value (stopped by: {stopped_by}){first}")
        self.errors = tuple(errors)
        self.stopped_by: StopReason = stopped_by
        self.usage = usage
        self.money = money


class EngineError(ActorCriticError):
    """An engine could not answer a request.

    Attributes:
        retryable: True where the same request may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class EngineUnavailable(EngineError):
    """The model, its process or its server is missing or has died."""


class PromptTooLong(EngineError):
    """The prompt and the tokens asked for exceed the model's context."""


class ToolError(ActorCriticError):
    """A tool failed or refused its arguments; the message is meant for the model that called it."""


class EnvironmentFault(ActorCriticError):
    """An environment broke down; the trial that was in it has failed."""


class ReplayDiffers(EnvironmentFault):
    """An environment did not come back to the state that was logged, or may not be replayed at all."""


class RecordError(ActorCriticError):
    """A run folder is in use by another writer, unreadable, or written by an unknown version."""
