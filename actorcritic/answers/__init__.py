"""Answers: taking them out of a text, comparing them, and their canonical form for votes.

`CHECKERS` holds the checkers that need no task: `math` and `exact`. Those of the tasks live with the tasks.
"""

from actorcritic.answers.checkers import CHECKERS, Checker, ExactChecker, MathChecker, equivalent, vote_key
from actorcritic.answers.extraction import extract_answer, normalise

__all__ = [
    "CHECKERS",
    "Checker",
    "ExactChecker",
    "MathChecker",
    "equivalent",
    "extract_answer",
    "normalise",
    "vote_key",
]
