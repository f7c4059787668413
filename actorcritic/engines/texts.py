"""What engines behind an interface of text need: spelling tokens, finding stop strings, estimating a count.

For engines that get texts where a local one gets token ids. Everything that comes in is hostile. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

from actorcritic.types import Message, Prompt, TokenLogprob, ToolSpec

__all__ = ["cut_tokens", "end_of_stop", "estimate_ids", "spell_tokens"]

_PIECES = re.compile(r" ?[^\W\d_]{1,6}| ?\d{1,3}|\n+| ?[^\w\s]{1,3}|_|\s")
"""About what a byte-pair tokenizer makes of English, code and figures."""
_WIDE = re.compile(r"[^\x00-\u024f]")
"""Scripts of which a token holds about one character."""


def estimate_ids(prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
    """Return made-up ids: about as many as a tokenizer would give, and a longer prompt begins with a shorter one's."""
    texts = [json.dumps([tool.name, tool.description, dict(tool.parameters)]) for tool in tools]
    if isinstance(prompt.content, str):
        texts.append(prompt.content)
    else:
        texts.extend(_flat(message) for message in prompt.content)
        texts.append("<assistant>\n")
    return tuple(_id(piece) for text in (*texts, prompt.prefill) for piece in _pieces(text))


def end_of_stop(text: str, stops: Sequence[str]) -> int | None:
    """Return the length of `text` up to and with the stop string that ends first; None where there is none."""
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    return min(ends, default=None)


def spell_tokens(text: str, tokens: Sequence[TokenLogprob]) -> tuple[TokenLogprob, ...]:
    """Return the tokens with texts that joined are `text`.

    What does not stand in the text (an end token's name, a part of a character) becomes empty; what stands in the text
    and in no token goes to the token before it. Tokens that spell another text altogether keep their own.
    """
    pieces: list[str] = []
    position = 0
    for token in tokens:
        rest = text[position:]
        if token.text and rest.startswith(token.text):
            piece = token.text
        elif rest and token.text.startswith(rest):
            piece = rest  # the text was cut inside this token
        else:
            found = _close(rest, token.text, pieces)
            if found > 0:
                pieces[-1] += rest[:found]
                position += found
            piece = token.text if found >= 0 else ""
        pieces.append(piece)
        position += len(piece)
    if not pieces or (text and not any(pieces)):
        return tuple(tokens)
    pieces[-1] += text[position:]
    return tuple(replace(token, text=piece) for token, piece in zip(tokens, pieces, strict=True))


def cut_tokens(tokens: Sequence[TokenLogprob], length: int) -> tuple[TokenLogprob, ...]:
    """Return the tokens that begin within the first `length` characters, the last one shortened."""
    kept: list[TokenLogprob] = []
    for token in tokens:
        if length <= 0:
            break
        kept.append(replace(token, text=token.text[:length]))
        length -= len(token.text)
    return tuple(kept)


def _close(rest: str, piece: str, before: Sequence[str]) -> int:
    """Return where a token's text stands a little further on, after tokens that could not be read; -1 = nowhere."""
    unread = next((count for count, text in enumerate(reversed(before)) if text), len(before))
    if not piece or not unread:
        return -1
    return rest.find(piece, 0, 4 * unread + len(piece))


def _flat(message: Message) -> str:
    calls = "".join(f"{call.name} {call.arguments}\n" for call in message.tool_calls)
    return f"<{message.role}>\n{message.content}{calls}\n"


def _pieces(text: str) -> list[str]:
    found: list[str] = _PIECES.findall(text)
    return [part for piece in found for part in (piece if _WIDE.search(piece) else (piece,))]


@lru_cache(maxsize=1 << 16)
def _id(piece: str) -> int:
    return int.from_bytes(blake2b(piece.encode("utf-8", "replace"), digest_size=6).digest(), "big")
