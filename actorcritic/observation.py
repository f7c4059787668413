"""What an environment shows: one frozen value per step, as actors read it and logs keep it.

Knows no environment and no search.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Observation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What an environment shows at its beginning or after a step."""

    text: str
    """What an actor reads; the first one says the task as well. Hostile input, like all text from outside."""
    reward: float | None = None
    """Earned by this step; None = the environment gives none here. An episode's rewards add up to its return, which
    lies in [0, 1] at its end: 1 = all that can be had."""
    done: bool = False
    """Whether the episode has ended: nothing can be done after it."""
    actions: tuple[str, ...] | None = None
    """What can be done now; None = the environment does not say."""
    state: str = ""
    """A hash of the whole state, hidden parts included: equal states have equal hashes, other ones another. By it a
    replay is checked; "" = the environment gives none, and what it shows is compared instead."""
