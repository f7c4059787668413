"""How a chat model is asked in free text, and how what it says is read: sections in tags, words, yes or no.

What a model wrote is hostile: a section must be there exactly once, a text that was cut off says nothing, and
whatever cannot be read is `Unreadable`, never a guess. Knows no step.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import cast

from actorcritic.answers import extract_answer
from actorcritic.collection.step import Unreadable
from actorcritic.metering import CallMeter
from actorcritic.parsing.steps import split_steps
from actorcritic.protocols import Engine
from actorcritic.templates import quote
from actorcritic.types import (
    FinishReason,
    GenerateRequest,
    Generation,
    JsonValue,
    Message,
    Prompt,
    Role,
    Sampling,
    Solution,
    Step,
)

__all__ = [
    "GREEDY",
    "SAMPLED",
    "ask",
    "ask_object",
    "ask_yes",
    "quoted_steps",
    "section",
    "solution_of",
    "without_thinking",
    "word",
]

GREEDY = Sampling(temperature=0.0)
SAMPLED = Sampling(temperature=1.0)

MAX_TOKENS = 2048
"""Completion tokens of one reply in free text."""

YES_TOKENS = 8
"""Completion tokens of a reply that is a word."""

TOP = 10
"""Alternatives looked at for the probability of a yes."""

_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


async def ask(
    engine: Engine,
    request: str | tuple[Message, ...],
    *,
    meter: CallMeter,
    role: Role = "critic",
    sampling: Sampling = GREEDY,
) -> str:
    """Return what a chat model replies, without its thinking.

    Raises:
        Unreadable: it was cut off, or said nothing.
        EngineError: as from the engine.
    """
    content = (Message(role="user", content=request),) if isinstance(request, str) else request
    generation = await meter.generate(
        engine,
        GenerateRequest(prompt=Prompt(content=content), max_tokens=MAX_TOKENS, sampling=sampling, logprobs=False),
        role=role,
    )
    return _said(generation)


async def ask_object(engine: Engine, request: str, *, meter: CallMeter, sampling: Sampling = GREEDY) -> JsonValue:
    """Return the one JSON value that a chat model replies, in a code fence or bare.

    Raises:
        Unreadable: there is no such value, or more than one.
        EngineError: as from the engine.
    """
    text = await ask(engine, request, meter=meter, sampling=sampling)
    fenced = re.findall(r"```(?:json)?\s*\n(.*?)\n\s*```", text, re.DOTALL)
    if len(fenced) > 1:
        raise Unreadable("several blocks where one JSON value was asked for")
    try:
        return cast("JsonValue", json.loads(fenced[0] if fenced else text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {error}") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


async def ask_yes(engine: Engine, request: str, *, meter: CallMeter, role: Role = "critic") -> float:
    """Return the probability in [0, 1] that a chat model's reply begins with yes rather than no.

    From the alternatives at the first token, where the engine gives them; else 1 or 0 by the word.

    Raises:
        Unreadable: the reply begins with neither.
        EngineError: as from the engine.
    """
    able = engine.info.capabilities
    generation = await meter.generate(
        engine,
        GenerateRequest(
            prompt=Prompt(content=(Message(role="user", content=request),)),
            max_tokens=YES_TOKENS,
            sampling=GREEDY,
            logprobs=able.logprobs,
            top_logprobs=min(TOP, able.top_logprobs),
        ),
        role=role,
    )
    first = next((token for token in generation.tokens if token.text.strip()), None)
    if first is not None and first.top:
        mass = {answer: _mass(first.top, answer) for answer in ("yes", "no")}
        if sum(mass.values()) > 0:
            return mass["yes"] / sum(mass.values())
    return float(word(without_thinking(generation.text), ("yes", "no")) == "yes")


def _mass(top: Mapping[str, float], answer: str) -> float:
    return sum(math.exp(min(0.0, logprob)) for text, logprob in top.items() if text.strip().lower() == answer)


def _said(generation: Generation) -> str:
    if generation.finish_reason is not FinishReason.STOP:
        raise Unreadable(f"the reply did not come to its end: {generation.finish_reason.value}")
    text = without_thinking(generation.text)
    if not text:
        raise Unreadable("an empty reply")
    return text


def without_thinking(text: str) -> str:
    """Return a reply without its thinking blocks; a block that never ends takes all that follows it along."""
    return re.split(r"<think(?:ing)?>", _THINKING.sub("", text), maxsplit=1, flags=re.IGNORECASE)[0].strip()


def section(text: str, tag: str) -> str:
    """Return what stands between `<tag>` and `</tag>`, without blank space around it.

    Raises:
        Unreadable: there is no such section, more than one, or nothing in it.
    """
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    if len(found) != 1 or text.count(f"<{tag}>") != 1 or text.count(f"</{tag}>") != 1:
        raise Unreadable(f"the reply has {len(found)} sections <{tag}>, not one")
    if not found[0].strip():
        raise Unreadable(f"the section <{tag}> is empty")
    return str(found[0].strip())


def word(text: str, words: tuple[str, ...]) -> str:
    """Return which of these words a text begins with, letter case and marks before it aside.

    Raises:
        Unreadable: none of them.
    """
    found = re.match(r"\W*([\w-]+)", text)
    said = found[1].lower() if found else ""
    if said not in words:
        raise Unreadable(f"the reply begins with {said[:40]!r}, not with {' or '.join(words)}")
    return said


def quoted_steps(steps: Sequence[Step]) -> str:
    """Return steps as a model reads them: numbered from 1, each between fences."""
    return "\n\n".join(f"Step {number}\n{quote(step.text, 'step')}" for number, step in enumerate(steps, start=1))


def solution_of(text: str) -> Solution:
    """Return a text that is a whole solution as one, in steps and with its answer.

    Raises:
        Unreadable: it has no step.
    """
    steps = split_steps(text)
    if not any(step.text for step in steps):
        raise Unreadable("a solution without a step")
    return Solution(steps=steps, answer=extract_answer(text))
