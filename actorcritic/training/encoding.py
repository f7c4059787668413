"""From rows of an export to token ids, exactly as the model will be asked at inference. Pure but for its tokenizer.

Chats go through the model's template, texts are taken as they are and closed with the end token. A row that the model
has no tokens for is dropped, and so is one that is too long: nothing is ever cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from actorcritic.engines.transformers.text import ControlWords
from actorcritic.errors import InputError
from actorcritic.export.chat import ChatMessage
from actorcritic.export.lengths import ChatTokenizer
from actorcritic.export.recipe import Columns, Drop
from actorcritic.training.endings import ends
from actorcritic.types import JsonValue

__all__ = ["Encoded", "Encoder", "Pair", "encode_rows"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """What is read, and what is written after it, in token ids."""

    prompt: list[int]
    completion: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows ready for a trainer."""

    rows: Sequence[Mapping[str, Any]]
    """All with the same keys."""
    dropped: Mapping[str, int]
    """Rows left out, by reason."""
    longest: int
    """Tokens of the longest row; 0 without any."""


class Encoder:
    """Turns prompts and completions of rows into token ids.

    Args:
        tokenizer: One of transformers.
        name: How a person calls it.
        marks: Tokens that rows hold on purpose, such as LeTI's; every other name of a control token is broken.
    """

    def __init__(self, tokenizer: Any, name: str, *, marks: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._chat = ChatTokenizer(tokenizer, name)
        self._broken = _breaker(ControlWords(tokenizer).broken, marks)
        self._unknown = tokenizer.unk_token_id
        self._end = tokenizer.eos_token_id
        if self._end is None:
            raise InputError(f"the tokenizer of {name} has no end token, without which no answer can end")

    def text(self, text: str) -> list[int] | Drop:
        """Return the ids of a whole text and of its end."""
        return self._known([*self._encode(text, special=True), self._end])

    def ask(self, prompt: JsonValue) -> list[int] | Drop:
        """Return the ids of a prompt, up to where the answer begins."""
        if isinstance(prompt, str):
            return self._known(self._encode(prompt, special=True))
        return self._known(self._chat.chat(self._messages(prompt), ask=True))

    def harmless(self, prompt: JsonValue) -> JsonValue:
        """Return a prompt for a trainer that encodes it itself: its texts name no control token."""
        return _each_text(prompt, self._broken)

    def pair(self, prompt: JsonValue, completion: JsonValue) -> Pair | Drop:
        """Return the ids of a prompt and of its completion, each a chat or a text.

        Raises:
            InputError: the chat template begins an answer in another way than it asks for one.
        """
        asked = self.ask(prompt)
        if isinstance(asked, Drop):
            return asked
        if isinstance(prompt, str) and isinstance(completion, str):
            end = [self._end] if ends(prompt, completion) else []
            written: list[int] | Drop = self._known([*self._encode(completion, special=False), *end])
        else:
            written = self._answered(asked, prompt, completion)
        if isinstance(written, Drop):
            return written
        return Pair(asked, written) if written else Drop("nothing to learn")

    def _answered(self, asked: list[int], prompt: JsonValue, completion: JsonValue) -> list[int] | Drop:
        whole = self._chat.chat([*self._messages(prompt), *self._messages(completion)])
        if whole[: len(asked)] != asked:
            raise InputError(
                f"the chat template of {self._chat.name} begins an answer in another way than it asks for one: what is "
                "learnt would not be what is asked"
            )
        return self._known(whole[len(asked) :])

    def _messages(self, chat: JsonValue) -> list[ChatMessage]:
        said: list[JsonValue] = chat if isinstance(chat, list) else [{"role": "user", "content": chat}]
        return [cast("ChatMessage", _each_text(message, self._broken)) for message in said]

    def _encode(self, text: str, *, special: bool) -> list[int]:
        ids = self._tokenizer(self._broken(text), add_special_tokens=special)["input_ids"]
        return cast("list[int]", ids)

    def _known(self, ids: list[int]) -> list[int] | Drop:
        return Drop("no words for it in this model") if self._unknown is not None and self._unknown in ids else ids


def encode_rows(
    rows: Iterable[Columns],
    encode: Callable[[Columns], tuple[Mapping[str, Any], int] | Drop],
    limit: int,
) -> Encoded:
    """Encode rows, leaving out those that are too long or that cannot be written.

    Args:
        rows: Of an export.
        encode: Gives a trainer's columns and the tokens of the row, its longer side where it has two.
        limit: Tokens of a row at most.

    Raises:
        InputError: no row is left.
    """
    work = _Rows()
    for row in rows:
        made = encode(row)
        if isinstance(made, Drop):
            work.dropped[made.reason] += 1
        elif made[1] > limit:
            work.dropped[f"longer than {limit} tokens"] += 1
        else:
            work.rows.append(made[0])
            work.longest = max(work.longest, made[1])
    if not work.rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(work.dropped.items()))
        raise InputError(f"no row is left to train on; dropped: {reasons or 'nothing'}")
    return Encoded(work.rows, dict(sorted(work.dropped.items())), work.longest)


@dataclass(slots=True)
class _Rows:
    rows: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    dropped: Counter[str] = field(default_factory=Counter[str])
    longest: int = 0


def _each_text(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    """Change every text in a message but its role."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(item, change) for item in value]
    if isinstance(value, dict):
        return {name: item if name == "role" else _each_text(item, change) for name, item in value.items()}
    return value


def _breaker(broken: Callable[[str], str], marks: Sequence[str]) -> Callable[[str], str]:
    """Return what breaks control words, some of them left whole."""

    def leave(text: str) -> str:
        for mark in marks:
            if mark in text:
                return mark.join(leave(part) for part in text.split(mark))
        return broken(text)

    return leave if marks else broken
