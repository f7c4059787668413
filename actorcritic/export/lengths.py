"""How long a row is in tokens, as its trainer will see it: conversational rows go through the chat template.

A trainer of TRL cuts what is longer than its `max_length` without a word; here such a row is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from actorcritic.errors import InputError
from actorcritic.export.chat import ChatMessage
from actorcritic.export.recipe import Columns, Tokenizer
from actorcritic.types import JsonValue

__all__ = ["ChatTokenizer", "load_tokenizer", "row_length"]


class ChatTokenizer:
    """A `Tokenizer` over one of transformers, whose chat template it needs only for conversational rows."""

    def __init__(self, tokenizer: Any, name: str) -> None:  # type of a library that is loaded on demand
        self._tokenizer = tokenizer
        self.name = name

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer.encode`."""
        return cast("list[int]", self._tokenizer.encode(text, add_special_tokens=False))

    def chat(self, messages: Sequence[ChatMessage], *, ask: bool = False) -> list[int]:
        """See `Tokenizer.chat`.

        Raises:
            InputError: the tokenizer has no chat template, or its template refuses this chat.
        """
        if not self._tokenizer.chat_template:
            raise InputError(
                f"the tokenizer {self.name} has no chat template, which conversational rows need: take that of a chat "
                "model; rows for the embedded pair are exported with --wording embedded"
            )
        try:
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages], tokenize=False, add_generation_prompt=ask
            )
        except Exception as error:
            raise InputError(f"the chat template of {self.name} refuses a row: {error}") from error
        return self.encode(text)


def load_tokenizer(name: str) -> ChatTokenizer:
    """Load a tokenizer from a folder or by a model's name.

    Raises:
        InputError: there is none, or transformers is not installed.
    """
    try:
        # Heavy, and only needed where lengths are asked for.
        from transformers import AutoTokenizer  # noqa: PLC0415 - see above
    except ImportError as error:
        raise InputError("--tokenizer needs transformers: pip install 'actorcritic[local]'") from error
    from actorcritic.engines.local_models import resolve_model  # noqa: PLC0415 - beside the library that it serves

    source = resolve_model(name)
    try:
        return ChatTokenizer(cast("Any", AutoTokenizer).from_pretrained(source), name)
    except (OSError, ValueError) as error:
        what = "holds no tokenizer" if Path(source).is_dir() else "is no folder with a tokenizer, and no known model"
        raise InputError(f"--tokenizer {name} {what}") from error


def row_length(columns: Columns, tokenizer: Tokenizer) -> int:
    """Return the number of tokens of a row; of a preference, those of its longer side."""
    if "input_ids" in columns:
        return len(cast("list[JsonValue]", columns["input_ids"]))
    if "text" in columns:
        # The trainer adds the end token.
        return len(tokenizer.encode(cast("str", columns["text"]))) + 1
    if "messages" in columns:
        return len(tokenizer.chat(cast("list[ChatMessage]", columns["messages"])))
    prompt = columns["prompt"]
    if "completions" in columns:
        steps = cast("list[str]", columns["completions"])
        return _pair_length(prompt, "", tokenizer) + sum(len(tokenizer.encode(f"{step}\n")) for step in steps)
    ends = [columns[name] for name in ("completion", "chosen", "rejected", "reference") if name in columns]
    return max((_pair_length(prompt, end, tokenizer) for end in ends), default=_pair_length(prompt, None, tokenizer))


def _pair_length(prompt: JsonValue, completion: JsonValue, tokenizer: Tokenizer) -> int:
    """Return the tokens of a prompt and one completion; None = the model is asked and has not answered."""
    if isinstance(prompt, list):
        messages = cast("list[ChatMessage]", prompt)
        if isinstance(completion, list):
            return len(tokenizer.chat([*messages, *cast("list[ChatMessage]", completion)]))
        return len(tokenizer.chat(messages, ask=True))
    written = completion if isinstance(completion, str) else ""
    return len(tokenizer.encode(cast("str", prompt) + written)) + 1
