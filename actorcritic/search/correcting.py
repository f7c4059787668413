"""What searches share that work on solutions again: on which ones, and from where. Pure functions of outcomes."""

from __future__ import annotations

from actorcritic.search.options import choice
from actorcritic.types import Outcome, Verdict

__all__ = ["GATE", "LOCATE", "find_cut", "lets_through"]

LOCATE = choice("locate", ("critic", "least-confident"), "where a solution is cut")
"""The critic's first error, or the step that holds the actor's least likely token."""

GATE = choice(
    "gate",
    ("critic", "always", "oracle"),
    "what is worked on again: what the critic calls wrong, everything, or what is wrong by the gold answer",
)
"""The gates of Xi et al. 2024 (arXiv 2411.16579). Unscored passes none of them: there is no critique to go by."""


def find_cut(outcome: Outcome, locate: str) -> int | None:
    """Return the first step to write anew, by a choice of `LOCATE`; None where nothing says which."""
    return outcome.least_confident if locate == "least-confident" else outcome.first_error


def lets_through(outcome: Outcome, gate: str) -> bool:
    """Return whether a judged solution is worked on again, by a choice of `GATE`."""
    if outcome.verdict is Verdict.UNSCORED:
        return False
    return gate == "always" or outcome.verdict is Verdict.INCORRECT
