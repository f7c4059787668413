"""Rows of token ids in which only some parts of an answer are learnt. Pure; knows no recipe.

The whole chat goes through the template as it would in training, and is cut into parts afterwards: a token that reaches
over the border of two parts belongs to the later one, and what ends the answer to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

from actorcritic.errors import InputError
from actorcritic.export.chat import ChatMessage, assistant
from actorcritic.export.recipe import Columns, Tokenizer
from actorcritic.types import JsonValue

__all__ = ["IGNORED", "masked_tokens", "masked_turns"]

IGNORED = -100
"""The label of a token that is read and not learnt."""


def masked_tokens(prompt: Sequence[JsonValue], parts: Sequence[tuple[str, bool]], tokenizer: Tokenizer) -> Columns:
    """Return `input_ids` and `labels` of a prompt and an answer.

    Args:
        prompt: A chat; never learnt.
        parts: The answer's texts in order, and whether each is learnt; joined they are the answer.
        tokenizer: Turns chats into ids.

    Raises:
        InputError: the chat template begins an answer in another way than it asks for one.
    """
    asked = _ids(prompt, None, tokenizer)
    text = "".join(part for part, _ in parts)
    whole = _ids(prompt, text, tokenizer)
    if whole[: len(asked)] != asked:
        raise InputError(f"the chat template of {tokenizer.name} begins an answer in another way than it asks for one")
    labels = [IGNORED] * len(whole)
    begin, end = len(asked), 0
    for number, (part, live) in enumerate(parts, start=1):
        end += len(part)
        border = len(whole) if number == len(parts) else _shared(whole, _ids(prompt, text[:end], tokenizer))
        if live:
            labels[begin:border] = whole[begin:border]
        begin = max(begin, border)
    return {"input_ids": cast("list[JsonValue]", whole), "labels": cast("list[JsonValue]", labels)}


def masked_turns(
    prompt: Sequence[JsonValue], said: Sequence[JsonValue], learnt: Sequence[bool], tokenizer: Tokenizer
) -> Columns:
    """Return `input_ids` and `labels` of a chat that goes on for several turns.

    Args:
        prompt: How it begins; never learnt.
        said: The turns after it, answers and what they were answered with.
        learnt: Per answer, whether it is learnt; what ends an answer in the chat template belongs to it.
        tokenizer: Turns chats into ids.

    Raises:
        InputError: the chat template writes earlier answers in another way than the last one.
    """
    messages = cast("list[ChatMessage]", [*prompt, *said])
    whole = tokenizer.chat(messages)
    labels = [IGNORED] * len(whole)
    answers = [place for place in range(len(prompt), len(messages)) if messages[place]["role"] == "assistant"]
    for place, live in zip(answers, learnt, strict=True):
        asked = tokenizer.chat(messages[:place], ask=True)
        if whole[: len(asked)] != asked:
            raise InputError(f"the chat template of {tokenizer.name} rewrites what was said before the last answer")
        end = _shared(whole, tokenizer.chat(messages[: place + 1]))
        if live:
            labels[len(asked) : end] = whole[len(asked) : end]
    return {"input_ids": cast("list[JsonValue]", whole), "labels": cast("list[JsonValue]", labels)}


def _ids(prompt: Sequence[JsonValue], answer: str | None, tokenizer: Tokenizer) -> list[int]:
    messages = list(prompt) if answer is None else [*prompt, *assistant(answer)]
    return tokenizer.chat(cast("list[ChatMessage]", messages), ask=answer is None)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many ids two lists begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
