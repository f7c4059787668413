"""Reading a critique written as labelled lines, in the format of Xi et al. 2024 (arXiv 2411.16579).

    Step sentence: <the step repeated>
    Correctness of the step: Correct|Wrong
    Explanation: ...
    (for every step, then)
    Correctness of the final answer: Correct|Wrong
    Explanation: ...

Numbers ("Step 2", "2.", "Correctness of step 2"), markdown and letter case are free; a label begins its line. What the
critic repeats of a step is skipped where the step is known, so that a step cannot forge a label by being repeated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from actorcritic.parsing.findings import Finding, Findings, read_verdict

__all__ = ["read_text"]

# Runs are bounded, so that a long row of blanks or stars costs no more than its length.
_LABEL = re.compile(
    r"[ \t]{0,12}(?:[-*+•][ \t]{1,4})?(?:\*{0,2}(?P<item>\d{1,4})[.)][ \t]{0,4})?[*_#` \t]{0,12}"
    r"(?:"
    r"(?P<final>correctness[ ]of[ ](?:the[ ])?(?:final[ ]|whole[ ])?(?:answer|solution)|final[ ]verdict)"
    r"|(?P<verdict>correctness[ ]of[ ](?:the[ ]|this[ ])?step(?:[ ]?\#?(?P<verdict_number>\d{1,4}))?)"
    r"|(?P<sentence>step(?:[ ]\#?(?P<sentence_number>\d{1,4}))?[ ]sentence)"
    r"|(?P<explanation>explanation)"
    r"|(?P<header>step[ ]?\#?(?P<header_number>\d{1,4}))(?=[*_` \t]{0,12}(?:[:：.)–—-]|\r?$))"
    r")[*_` \t]{0,12}(?:[:：]|(?<=\d)[.)]|(?<=\d)[*_` \t]{0,12}(?:[–—-]|\r?$))[*_ \t]{0,12}",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE_EXPLANATION = re.compile(r"[.;,]?[ \t]{1,4}[*_]{0,3}explanation[*_]{0,3}:[*_]{0,3}[ \t]{0,4}", re.IGNORECASE)
_BEFORE_ECHO = "[\\s`\"'*_]*"
_AFTER_ECHO = "[ \\t`\"'*_.]{0,12}\\r?$"
_WORD = re.compile(r"[^\W_]")


@dataclass(slots=True)
class _Block:
    """What is being read; mutable while its lines come in."""

    label: int | None = None
    match: int | None = None
    judged: str | None = None
    at: int | None = None
    named: bool = False
    """The step was repeated, or its number given with text: the next sentence belongs to another step."""
    explanation: list[str] = field(default_factory=list[str])

    def finding(self) -> Finding:
        return Finding(
            label=self.label,
            match=self.match,
            verdict=None if self.judged is None else read_verdict(self.judged),
            at=self.at,
            explanation="\n".join(self.explanation).strip(),
        )


class _Reader:
    """One pass over a text, line by line, except where a repeated step is skipped as a whole."""

    def __init__(self, text: str, begin: int, steps: Sequence[str]) -> None:
        self.text = text
        self.begin = begin
        self.steps = steps
        self.blocks: list[_Block] = []
        self.finals: list[_Block] = []
        self.open: _Block | None = None

    @cached_property
    def echoes(self) -> list[re.Pattern[str] | None]:
        """Per step: its words in order with any blank space between them, and nothing after them on the line."""
        words = [r"\s+".join(map(re.escape, step.split())) for step in self.steps]
        return [re.compile(f"{_BEFORE_ECHO}{step}{_AFTER_ECHO}", re.MULTILINE) if step else None for step in words]

    def read(self) -> Findings:
        position = self.begin
        while position < len(self.text):
            label = _LABEL.match(self.text, position)
            if label is not None:
                position = self._take(label)
            end = self._line_end(position)
            if label is None and self.open is not None and self.open.judged is not None:
                self.open.explanation.append(self.text[position:end].strip())
            position = end
        steps = tuple(block.finding() for block in self.blocks)
        finals = tuple(block.finding() for block in self.finals)
        return Findings(steps=steps, finals=finals, sound=_ordered(steps, finals))

    def _take(self, label: re.Match[str]) -> int:
        """Read a label and return where reading goes on: on the last line of what the label names."""
        kind = _kind(label)
        if kind == "header":
            return self._name(label, _number(label, "header_number"))
        if kind == "sentence":
            return self._name(label, _number(label, "sentence_number", "item"))
        rest = self.text[label.end() : self._line_end(label.end())]
        if kind == "explanation":
            if self.open is not None:
                self.open.explanation.append(rest.strip())
        elif kind == "final":
            self.open = _Block()
            self.finals.append(self.open)
            self._judge(self.open, label.end(), rest)
        else:
            self._judge(self._block_to_judge(_number(label, "verdict_number")), label.end(), rest)
        return label.end()

    def _judge(self, block: _Block, begin: int, rest: str) -> None:
        parts = _INLINE_EXPLANATION.split(rest, maxsplit=1)
        word = _WORD.search(parts[0])
        block.judged = parts[0]
        block.at = begin + word.start() if word else None
        block.explanation.extend(part.strip() for part in parts[1:])

    def _block_to_judge(self, number: int | None) -> _Block:
        last = self.blocks[-1] if self.blocks and self.open is self.blocks[-1] else None
        if last is None or last.judged is not None or (number is not None and last.label not in (None, number)):
            return self._new(number)
        last.label = number if last.label is None else last.label
        return last

    def _name(self, label: re.Match[str], number: int | None) -> int:
        """Open the block of a step that is named by a number, by its text, or both."""
        match, end = self._echo(label)
        bare = not self.text[label.end() : self._line_end(label.end())].strip()
        last = self.open
        is_sentence = label["sentence"] is not None
        if last is None or last.judged is not None or last.named or not is_sentence:
            last = self._new(number)
        last.label = number if last.label is None else last.label
        last.match = match
        last.named = is_sentence or match is not None or not bare
        return end

    def _echo(self, label: re.Match[str]) -> tuple[int | None, int]:
        """Return which step is repeated at a label, and where the repetition ends."""
        best: tuple[int | None, int] = (None, label.end())
        expected = len(self.blocks)
        # A solution may number its own steps: then the critic's line is the step itself, number included.
        for begin in (label.end(), label.start("header")):
            for index, echo in enumerate(self.echoes):
                found = echo.match(self.text, begin) if echo is not None and begin >= 0 else None
                if found and (found.end() > best[1] or (found.end() == best[1] and index == expected)):
                    best = (index, found.end())
        return best

    def _new(self, number: int | None) -> _Block:
        self.open = _Block(label=number)
        self.blocks.append(self.open)
        return self.open

    def _line_end(self, position: int) -> int:
        newline = self.text.find("\n", position)
        return len(self.text) if newline < 0 else newline + 1


def read_text(text: str, begin: int, steps: Sequence[str], *, complete: bool) -> Findings:
    """Collect the findings of a text from `begin` on.

    Args:
        text: what the critic wrote.
        begin: where its judgement begins, behind any thinking.
        steps: the texts of the steps that it judged.
        complete: False where the text was cut off: a verdict on its last line may lack its end and does not count.
    """
    found = _Reader(text, begin, steps).read()
    if complete:
        return found
    last_line = text.rfind("\n") + 1
    return replace(
        found,
        steps=tuple(_cut(finding, last_line) for finding in found.steps),
        finals=tuple(_cut(finding, last_line) for finding in found.finals),
        sound=False,
    )


def _cut(finding: Finding, last_line: int) -> Finding:
    return finding if finding.at is None or finding.at < last_line else replace(finding, verdict=None, at=None)


def _ordered(steps: Sequence[Finding], finals: Sequence[Finding]) -> bool:
    """Say whether the final verdict comes last; one that does not may be part of a repeated step."""
    last = max((finding.at for finding in steps if finding.at is not None), default=-1)
    return all(final.at is not None and final.at > last for final in finals)


def _kind(label: re.Match[str]) -> str:
    return next(kind for kind in ("verdict", "sentence", "header", "final", "explanation") if label[kind] is not None)


def _number(label: re.Match[str], *groups: str) -> int | None:
    return next((int(label[group]) for group in groups if label[group] is not None), None)
