"""What an exact labeller says of a step; shared by all families, knows none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["OK", "StepLabel", "first_wrong"]


@dataclass(frozen=True, slots=True)
class StepLabel:
    """One step's exact label."""

    code: str
    """`ok`, or the reason why the step is wrong (each family lists its codes)."""

    @property
    def correct(self) -> bool:
        """True if nothing is wrong with the step."""
        return self.code == "ok"


OK = StepLabel("ok")


def first_wrong(labels: Sequence[StepLabel]) -> int | None:
    """Return the 0-based index of the first wrong step, None if every step is right."""
    return next((i for i, label in enumerate(labels) if not label.correct), None)
