"""Between text and token ids: prompts, chat templates, and the exact text of a completion token by token.

Safe to call from several threads. Knows nothing of models or of sampling.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from actorcritic.errors import InputError
from actorcritic.types import JsonValue, Message, Prompt, ToolSpec

__all__ = ["ControlWords", "StopRule", "Text"]

_BROKEN = "�"
"""What an incomplete multi-byte character decodes to."""
_PROMPTS_KEPT = 512


class ControlWords:
    """The texts that a tokenizer takes for control tokens wherever they stand, such as the end of a turn."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        added = cast("dict[str, int]", cast("Any", tokenizer).get_added_vocab())
        words = [text for text in (*tokenizer.all_special_tokens, *added) if len(text) > 1]
        self._found = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))) or r"(?!)")

    def broken(self, text: str) -> str:
        """Break the names of control tokens in a text, so that it can end no turn and begin none."""
        return self._found.sub(lambda name: f"{name[0][0]}\u200b{name[0][1:]}", text)


class StopRule:
    """Which tokens may complete one of some stop strings, learnt token by token; and where a text ends by one."""

    def __init__(self, text: Text, stops: tuple[str, ...]) -> None:
        self._text = text
        self._stops = stops
        self._last = {stop[-1] for stop in stops}
        self._may_end: dict[int, bool] = {}

    def may_end(self, token: int) -> bool:
        """False only where the token cannot bring the last character of a stop string: the cheap first question."""
        known = self._may_end.get(token)
        if known is None:
            piece = self._text.piece(token)
            known = not piece or _BROKEN in piece or any(char in piece for char in self._last)
            self._may_end[token] = known
        return known

    def end(self, text: str) -> int | None:
        """Return the length of `text` up to and with the stop string that ends first; None where there is none."""
        ends = [at + len(stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        return min(ends, default=None)


class Text:
    """A tokenizer as the engine needs it.

    Attributes:
        chat: whether there is a chat template.
        tools: whether the chat template takes tools.
        special: ids of tokens that are no text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # Fast tokenizers refuse to be read by one thread while another sets them up.
        self._lock = threading.RLock()
        template: object = tokenizer.chat_template
        self.chat = bool(template)
        self.tools = "tools" in str(template)
        self.special = frozenset(tokenizer.all_special_ids)
        self._inert = ControlWords(tokenizer).broken
        self._pieces: dict[int, str] = {}
        self._prompts: OrderedDict[tuple[str | tuple[Message, ...], str], tuple[int, ...]] = OrderedDict()
        self._rules: dict[tuple[str, ...], StopRule] = {}
        self._anchor = self._find_anchor()

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return the ids of a whole prompt, prefill included.

        Raises:
            InputError: chat messages for a model without a chat template, or messages that its template refuses.
        """
        prefill = "" if prompt.prefill_ids else prompt.prefill
        if tools:
            return (*self._encode(prompt.content, prefill, tools), *prompt.prefill_ids)
        key = (prompt.content, prefill)  # all that goes on from one prompt by its ids shares what was encoded
        with self._lock:
            if key not in self._prompts:
                self._prompts[key] = self._encode(prompt.content, prefill, ())
                if len(self._prompts) > _PROMPTS_KEPT:
                    self._prompts.popitem(last=False)
            self._prompts.move_to_end(key)
            return (*self._prompts[key], *prompt.prefill_ids)

    def rule(self, stops: tuple[str, ...]) -> StopRule | None:
        """Return the rule for some stop strings; None without any."""
        if not stops:
            return None
        with self._lock:
            if len(self._rules) > _PROMPTS_KEPT:
                self._rules.clear()
            return self._rules.setdefault(stops, StopRule(self, stops))

    def piece(self, token: int) -> str:
        """Return the text that a token adds after ordinary text; empty for special tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = "" if token in self.special else self._after(self._anchor, (token,))
            self._pieces[token] = piece
        return piece

    def name(self, token: int) -> str:
        """Return a token's text for a person: a special token shows by its name."""
        if token not in self.special:
            return self.piece(token)
        with self._lock:
            return str(self._tokenizer.convert_ids_to_tokens(token))

    def completion(self, prompt: Sequence[int], ids: Sequence[int]) -> str:
        """Return the text of completion tokens as it goes on from the prompt."""
        return self._after(self._context(prompt), ids)

    def pieces(self, prompt: Sequence[int], ids: Sequence[int]) -> list[str]:
        """Return the text of each completion token; joined they are `completion(prompt, ids)`.

        A character that several tokens share stands with the last of them.
        """
        whole = self.completion(prompt, ids)
        usual = [self.piece(token) for token in ids]
        if "".join(usual) == whole:
            return usual
        found = self._pieces_in_context(self._context(prompt), ids)
        return found if "".join(found) == whole else [""] * (len(ids) - 1) + [whole]

    def _pieces_in_context(self, context: tuple[int, ...], ids: Sequence[int]) -> list[str]:
        """Spell token by token, each after the last complete characters before it."""
        pieces: list[str] = []
        before, done = context, 0
        for index in range(len(ids)):
            text = self._after(before, ids[done : index + 1])
            if text.endswith(_BROKEN) and index + 1 < len(ids):
                pieces.append("")
                continue
            pieces.append(text)
            before, done = (tuple(ids[done : index + 1]) if text else before), index + 1
        return pieces

    def _context(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """What to decode before a completion, so that a leading space is kept only where text goes before."""
        return self._anchor if any(token not in self.special for token in prompt) else ()

    def _after(self, context: tuple[int, ...], ids: Sequence[int]) -> str:
        if not context:
            return self._decode(ids)
        start, whole = self._decode(context), self._decode([*context, *ids])
        return whole[len(start) :] if whole.startswith(start) else self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        with self._lock:
            decode = cast("Any", self._tokenizer.decode)
            return str(decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _find_anchor(self) -> tuple[int, ...]:
        """Return one token of plain letters or digits, after which others are spelt."""
        for token in range(min(len(self._tokenizer), 5000)):
            text = "" if token in self.special else self._decode([token])
            if text.isascii() and text.isalnum():
                return (token,)
        return ()

    def _encode(self, content: str | tuple[Message, ...], prefill: str, tools: Sequence[ToolSpec]) -> tuple[int, ...]:
        if isinstance(content, str):
            text, plain = content + prefill, True
        else:
            text, plain = self._render(content, tools) + self._inert(prefill), False
        with self._lock:
            encoded = cast("Any", self._tokenizer)(text, add_special_tokens=plain)
        return tuple(cast("list[int]", encoded["input_ids"]))

    def _render(self, messages: tuple[Message, ...], tools: Sequence[ToolSpec]) -> str:
        if not self.chat:
            raise InputError("this model has no chat template: send plain text, or take a chat model")
        given = [_tool(tool) for tool in tools] or None
        try:
            with self._lock:
                rendered = self._tokenizer.apply_chat_template(
                    [_message(message, self._inert) for message in messages],
                    tools=cast("Any", given),
                    add_generation_prompt=True,
                    tokenize=False,
                )
        except Exception as error:  # a template may raise anything
            raise InputError(f"the model's chat template refuses these messages: {error}") from error
        return str(rendered)


def _message(message: Message, inert: Callable[[str], str]) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": inert(message.content)}
    if message.tool_calls:
        row["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": inert(call.name), "arguments": _object(inert(call.arguments))},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        row["tool_call_id"] = message.tool_call_id
    return row


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _object(text: str) -> JsonValue:
    """Arguments as an object, since templates print them themselves; malformed ones stay text."""
    try:
        return cast("JsonValue", json.loads(text))
    except ValueError:
        return text
