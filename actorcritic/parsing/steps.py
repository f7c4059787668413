"""Splitting a model's text into steps without losing a character, and its tokens over those steps.

The raw texts of the steps joined give the text back, for any text and style. A code fence is never cut. Thinking
blocks are split too, and their steps marked; a block may lack its opening tag (it stood in the prompt) or its closing
one (the text was cut off). Knows nothing of tasks, answers or critiques.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal, TypeAlias

from actorcritic.types import Step, TokenLogprob

__all__ = ["StepStyle", "attach_tokens", "detect_style", "split_steps", "token_starts"]

StepStyle: TypeAlias = Literal["auto", "lines", "numbered", "paragraphs"]
"""What begins a step: every line; a numbered line (`1.`, `2)`, `Step 3:`); the first line after a blank one."""

_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_TAG = re.compile(r"</?think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_MARK = re.compile(
    r"(?P<indent>[ \t]{0,3})[#*_ ]{0,6}(?:(?P<word>step)[ \t]{1,4})?(?P<number>\d{1,4})(?P<end>.{0,4})", re.IGNORECASE
)
_WORD_END = re.compile(r"[*_]{0,3}(?:[:.)\-–]|$)")
_LIST_END = re.compile(r"[.)][*_]{0,3}(?:[ \t]|$)")
_ANSWER = re.compile(r"[#*_ \t]{0,6}(?:(?:so|thus|hence|therefore),? )?(?:the )?(?:final )?answer\b", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line outside and inside code fences."""

    start: int
    text: str
    """With its newline."""
    fenced: bool
    """True inside a fence, its opening line excluded: never the beginning of a step."""

    @property
    def blank(self) -> bool:
        return not self.fenced and not self.text.strip()


def split_steps(text: str, style: StepStyle = "auto", *, thinking: bool = False) -> tuple[Step, ...]:
    """Split a text into steps.

    Blank space and tags around a step belong to its `raw`, not to its `text`. A text of blank space alone is one step
    with an empty `text`; an empty text has no step.

    Args:
        text: what a model wrote.
        style: what begins a step; "auto" is settled by `detect_style`, for thinking and plain text each on its own.
        thinking: True where the whole text is thinking, as in a reasoning field.
    """
    pieces: list[tuple[str, bool]] = []
    for body, inside in _thinking_spans(text, thinking):
        pieces.extend((piece, inside) for piece in _split_plain(body, style))
    return tuple(_join_blanks(pieces))


def detect_style(text: str) -> Literal["lines", "numbered", "paragraphs"]:
    """Say how a text is divided: numbered before paragraphs before lines.

    Numbered: two numbered lines at least, each number one more than the one before, equally indented; where a line
    begins with "Step" and a number, only such lines count, and one is enough at the beginning. Paragraphs: a blank
    line stands between two texts. Fences and, where there is other text, thinking blocks do not count.
    """
    plain = "".join(body for body, inside in _thinking_spans(text, False) if not inside)
    lines = list(_lines(plain if plain.strip() else text))
    if len(_numbered_starts(lines)) >= 2 or _begins_with_step(lines):
        return "numbered"
    return "paragraphs" if len(_paragraph_starts(lines)) >= 2 else "lines"


def _thinking_spans(text: str, thinking: bool) -> Iterator[tuple[str, bool]]:
    """Yield the text in parts, each with whether it is thinking; tags and the blank space after go with thinking."""
    if thinking:
        yield text, True
        return
    opening, closing = _OPEN.search(text), _CLOSE.search(text)
    position = 0
    inside = closing is not None and (opening is None or closing.start() < opening.start())
    while position < len(text):
        tag = (_CLOSE if inside else _OPEN).search(text, position)
        if tag is None:
            end = len(text)
        elif inside:
            end = tag.end()
        else:
            end = tag.start()
        yield text[position:end], inside
        if tag is None:
            return
        position, inside = end, not inside


def _join_blanks(pieces: list[tuple[str, bool]]) -> list[Step]:
    """Make steps; glue what holds nothing readable to the piece after it, or before it at the end."""
    steps: list[Step] = []
    pending = ""
    for raw, inside in pieces:
        text = (_TAG.sub("", raw) if inside else raw).strip()
        if text:
            steps.append(Step(text=text, raw=pending + raw, thinking=inside))
            pending = ""
        else:
            pending += raw
    if pending and steps:
        steps[-1] = replace(steps[-1], raw=steps[-1].raw + pending)
    elif pending:
        steps.append(Step(text="", raw=pending, thinking=any(inside for _, inside in pieces)))
    return steps


def _split_plain(text: str, style: StepStyle) -> list[str]:
    lines = list(_lines(text))
    wanted = detect_style(text) if style == "auto" else style
    starts = {"lines": _line_starts, "numbered": _numbered_starts, "paragraphs": _paragraph_starts}[wanted](lines)
    cuts = [0, *(start for start in starts if start > 0), len(text)]
    return [text[begin:end] for begin, end in pairwise(cuts) if end > begin]


def _lines(text: str) -> Iterator[_Line]:
    fence = ""
    for match in _LINE.finditer(text):
        line = match[0]
        mark = _FENCE.match(line)
        yield _Line(start=match.start(), text=line, fenced=bool(fence))
        if not fence and mark:
            fence = mark[1]
        elif fence and mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""


def _line_starts(lines: Sequence[_Line]) -> list[int]:
    return [line.start for line in lines if not line.fenced and not line.blank]


def _paragraph_starts(lines: Sequence[_Line]) -> list[int]:
    starts: list[int] = []
    after_blank = True
    for line in lines:
        if not line.blank and not line.fenced and after_blank:
            starts.append(line.start)
        after_blank = line.blank
    return starts


def _numbered_starts(lines: Sequence[_Line]) -> list[int]:
    """Where numbered steps begin, and a paragraph that gives the answer after them."""
    marks = [(line, mark) for line in lines if (mark := _numbered(line))]
    if any(mark["word"] for _, mark in marks):
        marks = [(line, mark) for line, mark in marks if mark["word"]]
    numbers: dict[int, int] = {}
    indent: str | None = None
    for line, mark in marks:
        number = int(mark["number"])
        if not numbers or (number == next(reversed(numbers.values())) + 1 and mark["indent"] == indent):
            numbers[line.start] = number
            indent = mark["indent"]
    if not numbers:
        return []
    first = next(iter(numbers))
    paragraphs = set(_paragraph_starts(lines))
    answers = {
        line.start for line in lines if line.start > first and line.start in paragraphs and _ANSWER.match(line.text)
    }
    return sorted(numbers.keys() | answers)


def _begins_with_step(lines: Sequence[_Line]) -> bool:
    first = next((line for line in lines if not line.blank), None)
    mark = _numbered(first) if first is not None else None
    return mark is not None and mark["word"] is not None


def _numbered(line: _Line) -> re.Match[str] | None:
    mark = None if line.fenced else _MARK.match(line.text.rstrip())
    if mark is None:
        return None
    return mark if (_WORD_END if mark["word"] else _LIST_END).match(mark["end"]) else None


# --- tokens --------------------------------------------------------------------------------------------------------


def token_starts(text: str, tokens: Sequence[TokenLogprob]) -> tuple[int, ...]:
    """Return where each token begins in the text.

    Tokens before the text (a reasoning field that the engine gives apart) begin below 0, those after it (the end
    token) at its length or beyond. A token whose own text does not stand there, such as a part of a character that
    takes several tokens, begins where the last readable token ended.
    """
    joined = "".join(token.text for token in tokens)
    bounds = list(accumulate((len(token.text) for token in tokens), initial=0))
    shift = joined.rfind(text)
    if joined.startswith(text) and not {shift, shift + len(text)} <= set(bounds):
        shift = 0  # the last place was inside a token, such as the end token's own name
    if shift < 0:
        return _walk(text, tokens)
    return tuple(bound - shift for bound in bounds[:-1])


def _walk(text: str, tokens: Sequence[TokenLogprob]) -> tuple[int, ...]:
    starts: list[int] = []
    position = unread = 0
    for token in tokens:
        # A token that cannot be read holds a few characters at most, so that the next one is looked for close by.
        found = text.find(token.text, position, position + 4 * unread + len(token.text)) if token.text else -1
        if found < 0:
            starts.append(position)
            unread += 1
        else:
            starts.append(found)
            position, unread = found + len(token.text), 0
    return tuple(starts)


def attach_tokens(steps: Sequence[Step], tokens: Sequence[TokenLogprob]) -> tuple[Step, ...]:
    """Return the steps with the ids and log-probabilities of their tokens.

    A token belongs to the step in which it begins; where it runs on into the next one, the step is marked
    `straddles`. Tokens outside the text, the end token among them, belong to no step. Where one token of a step has
    no id, the step has no ids.
    """
    if not tokens:
        return tuple(steps)
    text = "".join(step.raw for step in steps)
    starts = token_starts(text, tokens)
    attached: list[Step] = []
    begin = position = 0
    while position < len(starts) and starts[position] < 0:
        position += 1
    for step in steps:
        end = begin + len(step.raw)
        first = position
        while position < len(starts) and starts[position] < end:
            position += 1
        attached.append(_with_tokens(step, tokens[first:position], end < len(text) and _runs_on(starts, position, end)))
        begin = end
    return tuple(attached)


def _runs_on(starts: Sequence[int], position: int, end: int) -> bool:
    return position >= len(starts) or starts[position] > end


def _with_tokens(step: Step, tokens: Sequence[TokenLogprob], straddles: bool) -> Step:
    ids = tuple(token.token_id for token in tokens if token.token_id is not None)
    return replace(
        step,
        token_ids=ids if len(ids) == len(tokens) else (),
        logprobs=tuple(token.logprob for token in tokens),
        straddles=straddles,
    )
