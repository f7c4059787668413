r"""Taking the answer out of what a model wrote: the last `\boxed{...}` or "the answer is ...", and its plain form.

One pass over the text, linear in its length whatever it holds. Knows nothing of mathematics.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["extract_answer", "normalise"]

_BRACES = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{|\\.|[{}]", re.DOTALL)
_PHRASE = re.compile(
    r"\banswer\b(?:[ ](?:to|of|for)\b[^\n.]{0,80}?)?[*_ \t]{0,8}(?:\bis\b|:|=)[*_:= \t]{0,8}\s{0,8}(?P<value>[^\n]+)",
    re.IGNORECASE,
)
# A full stop ends the answer, unless it stands in a number or after a title or an initial (St. Louis, J. Bach).
_SENTENCE_END = re.compile(r"(?<!\b[A-Z])(?<!\b[A-Z][a-z])\.(?=\s|$)")
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("*", "*"), ("`", "`"), ('"', '"'))


def extract_answer(text: str) -> str | None:
    r"""Return the last answer that a text gives, None if it gives none.

    An answer stands in `\boxed{...}` with its braces closed, or after "answer is", "answer:" or "answer =", to the end
    of its sentence or line.
    """
    found = _boxed(text)
    for match in _PHRASE.finditer(text):
        value = _unwrap(_SENTENCE_END.split(match["value"], maxsplit=1)[0])
        if value:
            found.append((match.start(), value))
    return max(found)[1] if found else None


def _boxed(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    opened: list[tuple[int, int]] = []
    for brace in _BRACES.finditer(text):
        token = brace[0]
        if token == "}":
            start, content = opened.pop() if opened else (-1, 0)
            value = _unwrap(text[content : brace.start()]) if start >= 0 else ""
            if value:
                found.append((start, value))
        elif token.endswith("{") and token != r"\{":
            opened.append((brace.start() if len(token) > 1 else -1, brace.end()))
    return found


def _unwrap(text: str) -> str:
    """Take off what marks a text without being part of it: blank space, dollars, emphasis, quotes, a last comma."""
    text = text.strip().rstrip(",;").rstrip()
    for begin, end in _WRAPPERS:
        if len(text) > len(begin) + len(end) and text.startswith(begin) and text.endswith(end):
            return _unwrap(text[len(begin) : -len(end)])
    # What is left of an emphasis that began before the answer.
    return text.removesuffix("**").rstrip()


def normalise(text: str) -> str:
    """Return a text in the form in which `exact` compares: unwrapped, without case, width and runs of blank space."""
    plain = _unwrap(unicodedata.normalize("NFKC", text).casefold().strip().removesuffix("."))
    return " ".join(plain.split()).removesuffix(".").rstrip()
