"""What a critique says before it is weighed: verdict words as a critic wrote them, and where they stand.

Only whole words of a short list count. No sentence is searched for words that sound like approval: "the step is not
correct" and "I am not sure" are no verdicts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from actorcritic.types import Verdict

__all__ = ["NEGATIVE", "POSITIVE", "Finding", "Findings", "read_verdict"]

POSITIVE = frozenset({"correct", "right", "true", "valid", "yes"})
NEGATIVE = frozenset({"incorrect", "wrong", "false", "invalid", "no", "not correct", "not right", "not valid"})

_AROUND = " \t\r\n*_`\"'[](){}.,;:!"
# A reason may follow a clear no on its line; after a yes it could take the yes back, so there it is not read.
_CLEAR_NO = re.compile(r"(?:incorrect|wrong|invalid|not (?:correct|right|valid))(?=[\s.,;:!)(–—-])(?!\s*[/|])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judgement of a step, or of the whole solution."""

    label: int | None = None
    """The step's number as the critic wrote it; None where it wrote none."""
    match: int | None = None
    """0-based index of the step whose text the critic repeated."""
    verdict: Verdict | None = None
    """None where the critic named the step and gave no verdict."""
    at: int | None = None
    """Where the verdict's word begins in the critic's text."""
    explanation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was found in a critic's text."""

    steps: tuple[Finding, ...] = ()
    finals: tuple[Finding, ...] = ()
    sound: bool = True
    """False where something in the text forbids reading it as a pass."""


def read_verdict(words: str) -> Verdict:
    """Read what stands where a verdict was asked for; anything but a plain yes or a clear no is unscored."""
    plain = " ".join(words.casefold().strip(_AROUND).split())
    if plain in POSITIVE:
        return Verdict.CORRECT
    if plain in NEGATIVE or _CLEAR_NO.match(plain):
        return Verdict.INCORRECT
    return Verdict.UNSCORED
