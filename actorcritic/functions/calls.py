"""What a function of the caller's own may know of the search that calls it, and how it reports what it cost.

Inside a call `this_call()` gives its seed and takes its costs, in whatever task or thread the function goes on, as long
as that inherits the context. Costs count whether the call then succeeds, fails or is cancelled. Knows no strategy.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass, field

from actorcritic.errors import InputError
from actorcritic.types import Role, Usage

__all__ = ["FunctionCall", "entered", "this_call"]


@dataclass(slots=True, kw_only=True)
class FunctionCall:
    """One call of one of the caller's functions. Mutable: it adds up what is reported."""

    index: int = 0
    """Of the candidate that the call works on, as in `Candidate.index`."""
    role: Role = "actor"
    """`critic` for a score or a critique, otherwise `actor`."""
    seed: int = 0
    """In [0, 2**63): depends on the search's seed, the candidate and the role, never on timing."""
    temperature: float | None = None
    """The sampling temperature that the strategy wants, >= 0; None = the function's own choice."""
    reported: bool = False
    """Whether a cost has been reported, 0 included."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    """In the currency of the budget."""
    _closed: bool = field(default=False, repr=False)

    def charge(self, *, prompt_tokens: int = 0, completion_tokens: int = 0, money: float = 0.0) -> None:
        """Put tokens and money on the bill; may be called as often as costs arise, and before the call fails.

        Raises:
            InputError: a cost is negative or no number, or the call has ended.
        """
        if min(prompt_tokens, completion_tokens) < 0 or not (math.isfinite(money) and money >= 0):
            raise InputError(f"a cost must be >= 0, not {(prompt_tokens, completion_tokens, money)}")
        if self._closed:
            raise InputError("this call has ended and is on the bill: report a cost before the function returns")
        self.reported = True
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        self.money += money

    def close(self) -> Usage:
        """Return what the call has cost; nothing can be added from now on."""
        self._closed = True
        return Usage(calls=1, prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens)


_CURRENT: ContextVar[FunctionCall | None] = ContextVar("actorcritic_call", default=None)


def this_call() -> FunctionCall:
    """Return the call that the running function was made by.

    Outside a search it is a call of its own that nobody bills, so that a function can be tried alone.
    """
    current = _CURRENT.get()
    return FunctionCall() if current is None else current


def entered(call: FunctionCall) -> None:
    """Make a call the running task's; the task's own copy of the context ends with it."""
    _CURRENT.set(call)
