"""What a model behind an interface of text said, and the generation that it makes. Pure, shared by such engines.

Interfaces of text drop the stop string that ended a completion. It is put back where the server names it; where
nobody can tell whether a stop string or the model ended a text, that is said, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from actorcritic.engines.texts import cut_tokens, end_of_stop, estimate_ids, spell_tokens
from actorcritic.errors import InputError
from actorcritic.types import (
    FinishReason,
    GenerateRequest,
    Generation,
    JsonValue,
    Prompt,
    TokenLogprob,
    ToolCall,
    Usage,
)

__all__ = ["Answer", "ending_is_known", "estimate_usage", "make_generation", "scored_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said."""

    text: str
    finish: FinishReason
    stop: str | None = None
    """The stop string that ended the text, where the server names it."""
    tells_stop: bool = False
    """Whether the server would have named a stop string."""
    tokens: tuple[TokenLogprob, ...] = ()
    prompt_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    """None where the server reports none."""
    native: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """See `Generation.native`."""


def ending_is_known(answer: Answer, stops: Sequence[str]) -> bool:
    """Return whether it is certain what ended a text: the model, its limit, or which stop string."""
    if not stops or answer.finish is not FinishReason.STOP or end_of_stop(answer.text, stops) is not None:
        return True
    return answer.tells_stop or answer.stop in stops


def make_generation(request: GenerateRequest, answer: Answer, usage: Usage) -> Generation:
    """Return the generation of an answer: its stop string put back, nothing after it, tokens that spell the text."""
    text, finish = answer.text, answer.finish
    if answer.stop in request.stop and end_of_stop(text, request.stop) is None:
        text += answer.stop or ""
    # Beside reasoning, the tokens may spell that first.
    tokens = answer.tokens if answer.reasoning else spell_tokens(text, answer.tokens)
    end = end_of_stop(text, request.stop)
    if end is not None:
        if end < len(text) and not answer.reasoning:
            tokens = cut_tokens(tokens, end)
        text, finish = text[:end], FinishReason.STOP
    wanted = request.logprobs or request.top_logprobs > 0
    return Generation(
        text=text,
        finish_reason=finish,
        usage=usage,
        tokens=tuple(_with_top(token, request.top_logprobs) for token in tokens) if wanted else (),
        prompt_ids=answer.prompt_ids,
        token_ids=answer.token_ids,
        reasoning=answer.reasoning,
        tool_calls=answer.tool_calls,
        native=answer.native,
    )


def estimate_usage(request: GenerateRequest, answer: Answer) -> Usage:
    """Return about what an answer cost whose server does not say."""
    written = answer.text + (answer.reasoning or "") + "".join(call.arguments for call in answer.tool_calls)
    return Usage(
        calls=1,
        prompt_tokens=len(answer.prompt_ids) or len(estimate_ids(request.prompt, request.tools)),
        completion_tokens=len(answer.token_ids) or len(answer.tokens) or len(estimate_ids(Prompt(content=written))),
    )


def scored_tokens(bare: Sequence[int], whole: Sequence[int]) -> int:
    """Return how many tokens at the end of a prompt are to be scored: all but those that it has without its prefill.

    Args:
        bare: The ids of the prompt alone.
        whole: Those of the prompt with its prefill.

    Raises:
        InputError: there is nothing to score, or nothing stands before it that would make it likely or not.
    """
    same = next((place for place, pair in enumerate(zip(bare, whole, strict=False)) if pair[0] != pair[1]), len(bare))
    before = min(same, len(whole))
    if before == len(whole):
        raise InputError("max_tokens is 0: give a prefill, whose tokens are then scored")
    if before == 0:
        raise InputError("nothing stands before the text that is to be scored: give it as the prefill of a prompt")
    return len(whole) - before


def _with_top(token: TokenLogprob, count: int) -> TokenLogprob:
    """Return a token with its likeliest alternatives alone, which stand first."""
    return replace(token, top=dict(list(token.top.items())[:count]))
