"""What searches share that work on solutions again: on which ones, and from where. Pure functions of outcomes."""

from __future__ import annotations

from itertools import accumulate
from operator import mul

from actorcritic.search.options import Options, choice, number
from actorcritic.types import Outcome, Verdict

__all__ = ["GATE", "LOCATE", "SURE", "find_cut", "lets_through"]

LOCATE = choice("locate", ("critic", "least-confident"), "where a solution is cut")
"""The critic's first error, or the step that holds the actor's least likely token."""

SURE = number("sure", 0.95, "keep no step after which the critic is less sure that all so far is right", low=0, high=1)
"""A critic may notice an error some steps after it was made, and have had its doubts before: a cut at its first error
goes back to where the product of the steps' scores falls below this. 0 = keep all steps before the error."""

GATE = choice(
    "gate",
    ("critic", "always", "oracle"),
    "what is worked on again: what the critic calls wrong, everything, or what is wrong by the gold answer",
)
"""The gates of Xi et al. 2024 (arXiv 2411.16579). Unscored passes none of them: there is no critique to go by."""


def find_cut(outcome: Outcome, options: Options) -> int | None:
    """Return the first step to write anew, as `LOCATE` and `SURE` say; None where nothing says which."""
    if options.text("locate") == "least-confident":
        return outcome.least_confident
    error, sure = outcome.first_error, options.real("sure")
    if error is None or not sure:
        return error
    scores = [1.0 if score is None else score for score in outcome.step_scores[:error]]
    return next((at for at, held in enumerate(accumulate(scores, mul)) if held < sure), error)


def lets_through(outcome: Outcome, gate: str) -> bool:
    """Return whether a judged solution is worked on again, by a choice of `GATE`."""
    if outcome.verdict is Verdict.UNSCORED:
        return False
    return gate == "always" or outcome.verdict is Verdict.INCORRECT
