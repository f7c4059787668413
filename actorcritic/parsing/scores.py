"""Scores from token probabilities: how sure a critic was where it wrote "correct" or "incorrect"."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence

from actorcritic.parsing.findings import NEGATIVE, POSITIVE
from actorcritic.types import TokenLogprob

__all__ = ["correct_probability"]

_WORD = re.compile(r"[\s*_`\"'\[(:]*([^\W\d_]+)")


def correct_probability(tokens: Sequence[TokenLogprob], starts: Sequence[int], word: int | None) -> float | None:
    """Return P(correct) / (P(correct) + P(incorrect)) at the token that begins a verdict's word.

    An alternative counts for the verdict whose word it begins ("In" for incorrect). Returns None where the word, its
    token or the token's alternatives are unknown.

    Args:
        tokens: the completion's tokens.
        starts: where they begin in the text, see `token_starts`.
        word: the character offset of the verdict's word.
    """
    position = -1 if word is None else bisect_right(starts, word) - 1
    if word is None or position < 0:
        return None
    token = tokens[position]
    if not token.top or not starts[position] <= word < starts[position] + len(token.text):
        return None
    correct = incorrect = 0.0
    for text, logprob in {**token.top, token.text: token.logprob}.items():
        begun = _WORD.match(text)
        if begun and _begins(begun[1], POSITIVE):
            correct += math.exp(logprob)
        elif begun and _begins(begun[1], NEGATIVE):
            incorrect += math.exp(logprob)
    return correct / (correct + incorrect) if correct + incorrect > 0 else None


def _begins(text: str, words: frozenset[str]) -> bool:
    return any(word.startswith(text.casefold()) for word in words)
