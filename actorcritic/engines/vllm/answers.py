"""From a request to vLLM's sampling parameters, and from vLLM's output to a `Generation`.

Pure: takes vLLM's objects as they come, and spells tokens itself, so that pieces always join to the text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from actorcritic.engines.transformers.text import Text
from actorcritic.engines.vllm.options import TOP_LOGPROBS
from actorcritic.errors import EngineError, InputError
from actorcritic.types import FinishReason, GenerateRequest, Generation, TokenLogprob, Usage

__all__ = ["check_request", "generation_of", "sampling_of", "scoring_of"]


def check_request(request: GenerateRequest) -> None:
    """Refuse what is out of range.

    Raises:
        InputError: one line that names the value.
    """
    sampling = request.sampling
    if request.max_tokens < 0:
        raise InputError(f"max_tokens is {request.max_tokens}: it must be at least 1, or 0 to score the prefill")
    if not 0 <= sampling.temperature < math.inf:
        raise InputError(f"temperature is {sampling.temperature}: it must be 0 or more")
    if not 0 < sampling.top_p <= 1:
        raise InputError(f"top_p is {sampling.top_p}: it must lie in (0, 1]")
    if request.seed is not None and not 0 <= request.seed < 2**63:
        raise InputError(f"seed is {request.seed}: it must lie in [0, 2**63)")
    if not 0 <= request.top_logprobs <= TOP_LOGPROBS:
        raise InputError(f"top_logprobs is {request.top_logprobs}: it must lie in [0, {TOP_LOGPROBS}]")
    if any(not stop for stop in request.stop):
        raise InputError("a stop string is empty")


def sampling_of(request: GenerateRequest) -> dict[str, Any]:
    """Return the arguments of vLLM's `SamplingParams`, a JSON schema under `json_schema`."""
    if not request.max_tokens:
        # vLLM draws one token at least; it takes no forward pass of its own and is thrown away.
        return {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "detokenize": False}
    given: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "seed": request.seed,
        # Without stop strings nobody needs vLLM's own spelling.
        "detokenize": bool(request.stop),
    }
    if request.stop:
        given |= {"stop": list(request.stop), "include_stop_str_in_output": True}
    if request.logprobs or request.top_logprobs:
        given["logprobs"] = request.top_logprobs
    if request.json_schema is not None:
        given["json_schema"] = dict(request.json_schema)
    return given


def generation_of(request: GenerateRequest, prompt: tuple[int, ...], output: Any, text: Text) -> Generation:
    """Return what vLLM answered.

    Where a stop string ends inside a token, the text ends with the stop string and the ids keep the whole token.

    Args:
        request: what was asked.
        prompt: the ids that were sent.
        output: vLLM's final `RequestOutput`, with one completion.
        text: spells the tokens.

    Raises:
        EngineError: vLLM gave the request up.
    """
    answer = output.outputs[0]
    ids = tuple(int(token) for token in answer.token_ids)
    pieces = text.pieces(prompt, ids)
    finish = _finish(answer.finish_reason)
    rule = text.rule(request.stop)
    end = None if rule is None else rule.end("".join(pieces))
    if end is not None:
        finish, pieces = FinishReason.STOP, _shorten(pieces, end)
    return Generation(
        text="".join(pieces),
        finish_reason=finish,
        usage=Usage(
            calls=1,
            prompt_tokens=len(prompt),
            cached_tokens=min(int(output.num_cached_tokens or 0), len(prompt)),
            completion_tokens=len(ids),
        ),
        tokens=_tokens(request, ids, pieces, answer.logprobs, text),
        prompt_ids=prompt,
        token_ids=ids,
    )


def scoring_of(prompt: tuple[int, ...], scored: int, output: Any, text: Text) -> Generation:
    """Return what vLLM says of a prompt's last tokens, where nothing was to be written.

    Args:
        prompt: the ids that were sent.
        scored: how many of the last ones are to be scored, >= 1.
        output: vLLM's final `RequestOutput`.
        text: spells the tokens.

    Raises:
        EngineError: vLLM gave no log-probabilities, or gave the request up.
    """
    _finish(output.outputs[0].finish_reason)
    ids, rows = prompt[-scored:], list(output.prompt_logprobs or ())[-scored:]
    if len(output.prompt_logprobs or ()) != len(prompt) or any(map(_lacks, rows, ids)):
        raise EngineError("vLLM gave no log-probabilities of the prompt's tokens")
    pieces = text.pieces(prompt[:-scored], ids)
    return Generation(
        text="",
        finish_reason=FinishReason.LENGTH,
        usage=Usage(
            calls=1,
            prompt_tokens=len(prompt),
            cached_tokens=min(int(output.num_cached_tokens or 0), len(prompt)),
        ),
        tokens=tuple(
            TokenLogprob(token_id=token, text=piece, logprob=min(float(row[token].logprob), 0.0))
            for token, piece, row in zip(ids, pieces, rows, strict=True)
        ),
        prompt_ids=prompt,
    )


def _lacks(row: Mapping[int, Any] | None, token: int) -> bool:
    return row is None or token not in row


def _finish(reason: str | None) -> FinishReason:
    if reason == "stop":
        return FinishReason.STOP
    if reason == "length":
        return FinishReason.LENGTH
    raise EngineError(f"vLLM gave a request up ({reason})", retryable=True)


def _tokens(
    request: GenerateRequest, ids: Sequence[int], pieces: Sequence[str], logprobs: Any, text: Text
) -> tuple[TokenLogprob, ...]:
    if not (request.logprobs or request.top_logprobs) or logprobs is None:
        return ()
    return tuple(
        TokenLogprob(
            token_id=token,
            text=piece,
            logprob=min(float(row[token].logprob), 0.0),
            top=_top(row, request.top_logprobs, text),
        )
        for token, piece, row in zip(ids, pieces, logprobs, strict=True)
    )


def _top(row: Mapping[int, Any], count: int, text: Text) -> dict[str, float]:
    """Return the likeliest tokens by their text; what a schema forbids has no probability and is left out."""
    named: dict[str, float] = {}
    if not count:
        return named
    # The chosen token comes on top of those asked for where it is not among them.
    likeliest = sorted(row.items(), key=lambda item: -item[1].logprob)[:count]
    for token, entry in likeliest:
        if math.isfinite(entry.logprob):
            # Likeliest first: where two tokens read alike, the likelier one stands.
            named.setdefault(text.name(token), min(float(entry.logprob), 0.0))
    return named


def _shorten(pieces: Sequence[str], length: int) -> list[str]:
    """Cut the pieces so that together they have `length` characters."""
    kept: list[str] = []
    for piece in pieces:
        kept.append(piece[:length])
        length -= len(kept[-1])
    return kept
