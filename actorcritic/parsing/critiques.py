"""From a critic's text to a critique: one entry per step, and a final verdict that is a pass only when all agree.

The rules, whatever the text:

- A solution passes when the text is whole, every step is judged correct once, and one final verdict, which comes last,
  says correct. A step judged incorrect makes the verdict incorrect, whatever the final line says or if there is none.
- A step that is missing, judged twice differently, or whose verdict is no plain word is unscored; then so is a pass.
- Steps are told by their text where the critic repeats it, else by number, else by order. A judgement of a step that
  does not exist forbids a pass, and then an order without numbers is not trusted at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from actorcritic.parsing.critique_json import json_begin, read_json
from actorcritic.parsing.critique_text import read_text
from actorcritic.parsing.findings import Finding, Findings
from actorcritic.types import Critique, StepCritique, Verdict

__all__ = ["CritiqueReading", "parse_critique", "read_critique"]

_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueReading:
    """A critique and where its verdicts' words stand in the text, for whoever knows the tokens."""

    critique: Critique
    step_words: tuple[int | None, ...]
    """Per step, the character offset of the verdict's word; None where there is none, or not one alone."""
    final_word: int | None
    """The same of the final verdict."""
    final: Verdict | None
    """What the final verdict itself says, before it is weighed against the steps; None where there is not one alone."""


def parse_critique(text: str, steps: Sequence[str], *, complete: bool = True) -> Critique:
    """Read a critique; see `read_critique`."""
    return read_critique(text, steps, complete=complete).critique


def read_critique(text: str, steps: Sequence[str], *, complete: bool = True) -> CritiqueReading:
    """Read a critique in either format; never raises on what a model wrote.

    Args:
        text: what the critic wrote, thinking included.
        steps: the texts of the steps that it was asked to judge, in order.
        complete: False where the text did not come to a natural end; such a text is never a pass.
    """
    found = _find(text, steps, complete)
    placed, sound = _place(found.steps, len(steps))
    entries = tuple(_entry(placed.get(index, [])) for index in range(len(steps)))
    verdict = _final(entries, found.finals, sound=found.sound and sound and complete)
    explanations = [final.explanation for final in found.finals if final.explanation]
    critique = Critique(steps=entries, verdict=verdict, explanation="\n".join(explanations) or None, raw=text)
    return CritiqueReading(
        critique=critique,
        step_words=tuple(_word(placed.get(index, [])) for index in range(len(steps))),
        final_word=_word(found.finals),
        final=found.finals[0].verdict if len(found.finals) == 1 else None,
    )


def _find(text: str, steps: Sequence[str], complete: bool) -> Findings:
    begin = _judgement_begin(text)
    found = read_text(text, begin, steps, complete=complete)
    at = json_begin(text, begin)
    if at is None or _says_something(read_text(text[:at], begin, steps, complete=True)):
        return found
    read = read_json(text, at)
    if read is None:
        return Findings(sound=False)
    findings, end = read
    # Another judgement after the object, in whichever format, leaves open which of them is meant.
    second = _says_something(read_text(text, end, steps, complete=True)) or json_begin(text, end) is not None
    return replace(findings, sound=findings.sound and not second)


def _judgement_begin(text: str) -> int:
    """Return where a critic's thinking ends: its length where it never does."""
    opening, closing = _OPEN.search(text), _CLOSE.search(text)
    if opening is not None and not text[: opening.start()].strip():
        return len(text) if closing is None else closing.end()
    if closing is not None and (opening is None or closing.start() < opening.start()):
        return closing.end()  # the opening tag stood in the prompt
    return 0


def _says_something(found: Findings) -> bool:
    return bool(found.finals) or any(finding.verdict is not None for finding in found.steps)


def _place(findings: Sequence[Finding], count: int) -> tuple[dict[int, list[Finding]], bool]:
    """Give every finding the index of its step; the second value is False where one fits no step."""
    base = 0 if any(finding.label == 0 and finding.match is None for finding in findings) else 1
    places: list[tuple[int, bool]] = []
    previous = -1
    for finding in findings:
        told = finding.match is not None or finding.label is not None
        index = finding.match if finding.match is not None else previous + 1
        if finding.match is None and finding.label is not None:
            index = finding.label - base
        places.append((index, told))
        previous = index
    judged = [(place, finding) for place, finding in zip(places, findings, strict=True) if finding.verdict is not None]
    fits = all(0 <= index < count for (index, _), _ in judged)
    placed: dict[int, list[Finding]] = {}
    for (index, told), finding in judged:
        sure = finding if fits or told else replace(finding, verdict=Verdict.UNSCORED)
        placed.setdefault(index, []).append(sure)
    return placed, fits


def _entry(findings: Sequence[Finding]) -> StepCritique:
    verdicts = {finding.verdict for finding in findings}
    verdict = verdicts.pop() if len(verdicts) == 1 else None
    explanations = dict.fromkeys(finding.explanation for finding in findings if finding.explanation)
    return StepCritique(verdict=verdict or Verdict.UNSCORED, explanation="\n".join(explanations) or None)


def _final(steps: Sequence[StepCritique], finals: Sequence[Finding], *, sound: bool) -> Verdict:
    said = {final.verdict for final in finals}
    if any(step.verdict is Verdict.INCORRECT for step in steps) or said == {Verdict.INCORRECT}:
        return Verdict.INCORRECT
    all_correct = bool(steps) and all(step.verdict is Verdict.CORRECT for step in steps)
    return Verdict.CORRECT if sound and all_correct and said == {Verdict.CORRECT} else Verdict.UNSCORED


def _word(findings: Sequence[Finding]) -> int | None:
    return findings[0].at if len(findings) == 1 and findings[0].verdict is not Verdict.UNSCORED else None
