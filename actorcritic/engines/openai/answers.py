"""From a server's JSON to an answer. Everything in it is hostile: wrong shapes are errors or left out, never trusted.

Pure; knows the shapes of the chat and the completions endpoint, and what vLLM, SGLang and others add to them.
"""

from __future__ import annotations

import json
import math
from codecs import getincrementaldecoder
from collections.abc import Mapping
from typing import Any, cast

from actorcritic.engines.answer import Answer
from actorcritic.errors import EngineError
from actorcritic.parsing.texts import clean_text
from actorcritic.types import FinishReason, TokenLogprob, ToolCall, Usage

__all__ = [
    "read_chat_answer",
    "read_chat_tokens",
    "read_completion_answer",
    "read_count",
    "read_echo",
    "read_finish",
]

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.FILTERED,
}
"""Every other word, and none at all, is no natural end: `ABORTED`."""
_FEW = -9999.0
"""What stands for minus infinity."""


def read_chat_answer(payload: Mapping[str, Any], server: str) -> Answer:
    """Read an answer of `chat/completions`.

    Raises:
        EngineError: there is no choice, no message, or neither text nor anything else in it.
    """
    choice = _choice(payload, server)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise EngineError(f"{server} answered with a choice without a message")
    fields = cast("dict[str, Any]", message)
    content, refusal = _text(fields.get("content")), _text(fields.get("refusal"))
    reasoning = _text(fields.get("reasoning_content")) or _text(fields.get("reasoning"))
    calls = _tool_calls(fields)
    finish = read_finish(choice.get("finish_reason"))
    if refusal:
        finish = FinishReason.FILTERED
    elif calls and finish is FinishReason.STOP:
        finish = FinishReason.TOOL_CALLS  # some servers say "stop" here
    if content is None and finish is FinishReason.STOP and not reasoning:
        raise EngineError(f"{server} answered with neither text nor a tool call")
    ids = _ids(choice.get("token_ids"))
    logprobs = choice.get("logprobs")
    rows = cast("dict[str, Any]", logprobs).get("content") if isinstance(logprobs, dict) else None
    return Answer(
        text=content or "",
        finish=finish,
        stop=_stop(choice),
        tells_stop=_tells_stop(choice),
        tokens=read_chat_tokens(rows, ids),
        prompt_ids=_ids(payload.get("prompt_token_ids")),
        token_ids=ids,
        reasoning=reasoning or None,
        tool_calls=calls,
        usage=_usage(payload.get("usage")),
    )


def read_completion_answer(payload: Mapping[str, Any], server: str) -> Answer:
    """Read an answer of vLLM's `completions`.

    Raises:
        EngineError: there is no choice or no text.
    """
    choice = _choice(payload, server)
    text = _text(choice.get("text"))
    if text is None:
        raise EngineError(f"{server} answered with a choice without a text")
    ids = _ids(choice.get("token_ids"))
    return Answer(
        text=text,
        finish=read_finish(choice.get("finish_reason")),
        stop=_stop(choice),
        tells_stop=_tells_stop(choice),
        tokens=_completion_tokens(choice.get("logprobs"), ids),
        prompt_ids=_ids(choice.get("prompt_token_ids")),
        token_ids=ids,
        usage=_usage(payload.get("usage")),
    )


def read_echo(payload: Mapping[str, Any], prompt_ids: tuple[int, ...], scored: int, server: str) -> Answer | None:
    """Read vLLM's answer to a prompt that was to be echoed: the log-probabilities of its last tokens.

    Args:
        payload: What it sent.
        prompt_ids: What it was sent.
        scored: How many of these ids, from the end, are to be scored.
        server: Whose answer this is.

    Returns:
        None where they are not all there.

    Raises:
        EngineError: there is no choice.
    """
    choice = _choice(payload, server)
    block = choice.get("logprobs")
    fields = cast("dict[str, Any]", block) if isinstance(block, dict) else {}
    columns = {name: value for name in ("tokens", "token_logprobs") if isinstance(value := fields.get(name), list)}
    if _ids(choice.get("prompt_token_ids")) != prompt_ids or len(columns) < 2:
        return None
    if any(len(column) != len(prompt_ids) for column in columns.values()):
        return None
    last = {name: column[-scored:] for name, column in columns.items()}
    tokens = _completion_tokens(last, prompt_ids[-scored:])
    usage = _usage(payload.get("usage"))
    return Answer(text="", finish=FinishReason.LENGTH, tokens=tokens, usage=usage) if tokens else None


def _choice(payload: Mapping[str, Any], server: str) -> dict[str, Any]:
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise EngineError(f"{server} answered without a choice")
    choice = cast("dict[str, Any]", choices[0])
    if choice.get("finish_reason") == "error":
        raise EngineError(f"{server} failed while it generated")
    return choice


def read_finish(word: object) -> FinishReason:
    """Return why a completion ended, from any server's word for it."""
    return _FINISH.get(str(word).lower(), FinishReason.ABORTED)


def _stop(choice: Mapping[str, Any]) -> str | None:
    named = choice.get("stop_reason") or choice.get("matched_stop") or choice.get("stop_sequence")
    return named if isinstance(named, str) else None


def _tells_stop(choice: Mapping[str, Any]) -> bool:
    return any(name in choice for name in ("stop_reason", "matched_stop", "stop_sequence"))


def _text(value: object) -> str | None:
    """Return text, or the texts of a list of parts; None where there is none."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        parts = [cast("dict[str, Any]", part).get("text") for part in value if isinstance(part, dict)]
        return clean_text("".join(part for part in parts if isinstance(part, str)))
    return None


def _tool_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    rows: list[Any] = message["tool_calls"] if isinstance(message.get("tool_calls"), list) else []
    if not rows and isinstance(message.get("function_call"), dict):
        rows = [{"function": message["function_call"]}]
    calls: list[ToolCall] = []
    for row in rows:
        function = cast("dict[str, Any]", row).get("function") if isinstance(row, dict) else None
        if not isinstance(function, dict):
            continue
        fields = cast("dict[str, Any]", function)
        name, arguments = fields.get("name"), fields.get("arguments")
        if isinstance(name, str) and name:
            given = row.get("id")
            ident = given if isinstance(given, str) and given else f"call_{len(calls)}"
            written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
            calls.append(ToolCall(id=clean_text(ident), name=clean_text(name), arguments=clean_text(written)))
    return tuple(calls)


def _ids(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(token, int) and token >= 0 for token in value):
        return ()
    return tuple(cast("list[int]", value))


# --- log-probabilities ---------------------------------------------------------------------------------------------


def read_chat_tokens(rows: object, ids: tuple[int, ...] = ()) -> tuple[TokenLogprob, ...]:
    """Read a list of rows with token, bytes, logprob and alternatives; nothing at all where one cannot be read."""
    if not isinstance(rows, list):
        return ()
    found = cast("list[dict[str, Any]]", [row for row in rows if isinstance(row, dict)])
    values = [_logprob(row.get("logprob")) for row in found]
    if len(found) != len(rows) or any(value is None for value in values):
        return ()
    return tuple(
        TokenLogprob(
            token_id=ids[place] if len(ids) == len(found) else None,
            text=text,
            logprob=cast("float", value),
            top=_best({str(entry.get("token")): entry.get("logprob") for entry in _rows(row.get("top_logprobs"))}),
        )
        for place, (row, text, value) in enumerate(zip(found, _spelt(found), values, strict=True))
    )


def _completion_tokens(block: object, ids: tuple[int, ...]) -> tuple[TokenLogprob, ...]:
    """Read parallel lists of tokens, logprobs and alternatives."""
    fields = cast("dict[str, Any]", block) if isinstance(block, dict) else {}
    texts, values = fields.get("tokens"), fields.get("token_logprobs")
    if not isinstance(texts, list) or not isinstance(values, list) or len(texts) != len(values):
        return ()
    logprobs = [_logprob(value) for value in values]
    if any(value is None for value in logprobs):
        return ()
    given: object = fields.get("top_logprobs")
    tops: list[object] = [None] * len(texts)
    if isinstance(given, list) and len(given) == len(texts):
        tops = cast("list[object]", given)
    return tuple(
        TokenLogprob(
            token_id=ids[place] if len(ids) == len(texts) else None,
            text=clean_text(str(text)),
            logprob=cast("float", value),
            top=_best(cast("dict[str, Any]", top) if isinstance(top, dict) else {}),
        )
        for place, (text, value, top) in enumerate(zip(texts, logprobs, tops, strict=True))
    )


def _spelt(rows: list[dict[str, Any]]) -> list[str]:
    """Return the tokens' texts; from their bytes where given, so that parts of a character join at the last of them."""
    decoder = getincrementaldecoder("utf-8")("replace")
    texts: list[str] = []
    for row in rows:
        raw = row.get("bytes")
        if not isinstance(raw, list) or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in raw):
            return [clean_text(str(row.get("token", ""))) for row in rows]
        texts.append(decoder.decode(bytes(cast("list[int]", raw))))
    return texts


def _rows(value: object) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", row) for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _best(entries: Mapping[str, Any]) -> dict[str, float]:
    """Return the alternatives that can be read, likeliest first."""
    read = {clean_text(text): _logprob(value) for text, value in entries.items()}
    known = [(text, value) for text, value in read.items() if value is not None]
    return dict(sorted(known, key=lambda entry: -entry[1]))


def _logprob(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > 1e-3:
        return None
    return min(0.0, max(float(value), _FEW))


# --- usage ---------------------------------------------------------------------------------------------------------


def _usage(value: object) -> Usage | None:
    """Read the tokens; reasoning that a server counts apart is in its total, and so on the bill."""
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    prompt, completion, total = (read_count(fields.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    if prompt is None or completion is None:
        return None
    details = fields.get("prompt_tokens_details")
    cached = read_count(cast("dict[str, Any]", details).get("cached_tokens")) if isinstance(details, dict) else None
    cached = cached if cached is not None else read_count(fields.get("prompt_cache_hit_tokens"))
    return Usage(
        calls=1,
        prompt_tokens=prompt,
        cached_tokens=min(cached or 0, prompt),
        completion_tokens=max(completion, (total or 0) - prompt),
    )


def read_count(value: object) -> int | None:
    """Return a number of tokens; None where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48 else None
