"""Step labels from completions: of each step of a solution, how many of N completions came out right. Pure.

Math-Shepherd (Wang et al. 2023, arXiv 2312.08935): hard label = any of them, soft label = the share.
DeepCritic (Yang et al. 2025, arXiv 2505.00662): the first wrong step is the first from which all completions fail
while those before it mostly succeed; a solution of which that cannot be said has no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Located", "hard_labels", "locate_error", "soft_labels"]


@dataclass(frozen=True, slots=True)
class Located:
    """Where a solution goes wrong."""

    first_bad_step: int | None
    """From 0; None = every step is right."""


def hard_labels(successes: Sequence[int]) -> tuple[bool, ...]:
    """Return per step whether any completion from it came out right."""
    return tuple(count > 0 for count in successes)


def soft_labels(successes: Sequence[int], rollouts: int) -> tuple[float, ...]:
    """Return per step the share of its N completions that came out right, in [0, 1]."""
    return tuple(count / rollouts for count in successes)


def locate_error(successes: Sequence[int], rollouts: int, *, correct: bool, threshold: float = 0.5) -> Located | None:
    """Return where a solution goes wrong by DeepCritic's rule, None where the completions do not tell.

    Args:
        successes: Per step, how many of the completions that begin after it came out right.
        rollouts: N, >= 1.
        correct: Whether the solution itself came out right.
        threshold: Share in [0, 1] that must come out right, strictly above it, for steps before the error.
            Deviation: the paper's repository does not name its value; more than half is assumed.
    """
    shares = soft_labels(successes, rollouts)
    if correct:
        return Located(None) if all(share > threshold for share in shares) else None
    bad = len(shares)
    while bad > 0 and shares[bad - 1] == 0:
        bad -= 1
    if bad == len(shares) or not all(share > threshold for share in shares[:bad]):
        return None
    return Located(bad)
