"""A deterministic test double: an engine that says what you told it to, when and how you told it to.

Public, for testing agents and policies without a model: canned replies or a function of the request, failures at
chosen calls, latencies that scramble the order of completion, capabilities at will, exact token counts.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

from actorcritic.engines.answer import scored_tokens
from actorcritic.errors import EngineError, EngineUnavailable, InputError, PromptTooLong
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.types import (
    FinishReason,
    GenerateRequest,
    Generation,
    Prompt,
    TokenLogprob,
    ToolCall,
    ToolSpec,
    Usage,
)

__all__ = ["ALL_CAPABILITIES", "Reply", "ScriptedCall", "ScriptedEngine"]

ALL_CAPABILITIES = Capabilities(
    token_ids=True,
    exact_counts=True,
    seeds=True,
    logprobs=True,
    top_logprobs=20,
    prefill=True,
    scores_text=True,
    chat=True,
    json_schema=True,
    tools=True,
)
"""What a scripted engine claims unless told otherwise."""

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer, where the text alone does not say it all."""

    text: str = ""
    finish_reason: FinishReason | None = None
    """None: `STOP`, or `LENGTH` where the text is longer than asked for."""
    logprobs: tuple[float, ...] = ()
    """Per token; those missing are made up from the token."""
    top: tuple[Mapping[str, float], ...] = ()
    """Alternatives per token, text to log-probability; those missing are made up."""
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(slots=True, kw_only=True)
class ScriptedCall:
    """A call as it was made. Mutable: it is completed when the call ends."""

    index: int
    """0-based, in the order of calling."""
    request: GenerateRequest
    generation: Generation | None = None
    error: EngineError | None = None
    cancelled: bool = False


class ScriptedEngine:
    """Answers from a script.

    Attributes:
        calls: every call made, in the order of calling.
        running: calls in flight now.
        peak: most calls ever in flight at once.
    """

    def __init__(
        self,
        replies: Sequence[str | Reply] | Callable[[GenerateRequest], str | Reply],
        *,
        failures: Mapping[int, EngineError] | None = None,
        latencies: Sequence[float] = (),
        capabilities: Capabilities = ALL_CAPABILITIES,
        max_context: int | None = None,
        name: str = "scripted",
        units: Literal["words", "chars"] = "words",
    ) -> None:
        """Write the script.

        Args:
            replies: one per call, in the order of calling; or a function of the request, which makes the engine
                independent of timing.
            failures: what to raise, by index of the call (0-based); a failed call uses up no reply.
            latencies: seconds per call, used in turn from the first again; empty = none.
            capabilities: what it claims and keeps to.
            max_context: tokens of prompt and completion together; None = any number.
            name: also its model fingerprint: engines of one name share prefixes on the bill.
            units: what a token is: a word, a mark or a run of blanks; or a character.
        """
        self.calls: list[ScriptedCall] = []
        self.running = 0
        self.peak = 0
        self._replies = replies
        self._used = 0
        self._failures = dict(failures or {})
        self._latencies = tuple(latencies)
        self._units: Literal["words", "chars"] = units
        self._closed = False
        self._asleep: set[asyncio.Future[None]] = set()
        self._info = EngineInfo(
            model=f"scripted:{name}", name=name, capabilities=capabilities, max_context=max_context, licence=None
        )

    @property
    def info(self) -> EngineInfo:
        """Who is answering and what it claims."""
        return self._info

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return the ids of a prompt; without `exact_counts` an estimate: one id per four characters."""
        ids = self._prompt_ids(prompt, tools)
        if self._info.capabilities.exact_counts:
            return ids
        text = _flat(prompt) + prompt.prefill
        return tuple(_word_id(text[i : i + 4]) for i in range(0, len(text), 4))

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer as the script says.

        Raises:
            EngineError: as scripted, or because the script has come to its end.
            InputError: the request needs what the capabilities do not hold.
            PromptTooLong: prompt and `max_tokens` exceed `max_context`.
        """
        call = ScriptedCall(index=len(self.calls), request=request)
        self.calls.append(call)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            call.generation = await self._answer(call)
            return call.generation
        except EngineError as error:
            call.error = error
            raise
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        """Refuse further calls and fail those in flight."""
        self._closed = True
        for sleeper in self._asleep:
            if not sleeper.done():
                sleeper.set_exception(EngineUnavailable("the engine was closed"))

    async def _answer(self, call: ScriptedCall) -> Generation:
        if self._closed:
            raise EngineUnavailable("the engine is closed")
        self._check(call.request)
        failure = self._failures.get(call.index)
        scoring = call.request.max_tokens == 0
        # The reply is taken before any waiting, so that latency changes the order of answers and nothing else.
        reply = None if failure is not None or scoring else self._reply(call.request)
        if self._latencies:
            await self._sleep(self._latencies[call.index % len(self._latencies)])
        else:
            await asyncio.sleep(0)
        if failure is not None:
            raise failure
        if reply is None:
            return self._scoring(call.request)
        return self._generation(call.request, reply)

    async def _sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _wake, sleeper)
        self._asleep.add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._asleep.discard(sleeper)

    def _check(self, request: GenerateRequest) -> None:
        able = self._info.capabilities
        if not able.chat and not isinstance(request.prompt.content, str):
            raise InputError("this engine takes no chat messages: send plain text")
        if not able.prefill and (request.prompt.prefill or request.prompt.prefill_ids):
            raise InputError("this engine cannot go on from a prefill")
        if request.max_tokens < 1 and not (able.scores_text and request.max_tokens == 0):
            raise InputError("max_tokens must be at least 1: this engine scores no given text")
        if request.json_schema is not None and not able.json_schema:
            raise InputError("this engine cannot constrain a completion to a JSON schema")
        length = len(self._prompt_ids(request.prompt, request.tools))
        limit = self._info.max_context
        if limit is not None and length + request.max_tokens > limit:
            raise PromptTooLong(
                f"the prompt has {length} tokens and max_tokens is {request.max_tokens}, but the model reads {limit} "
                "tokens in all: lower max_tokens or shorten the prompt"
            )

    def _reply(self, request: GenerateRequest) -> Reply:
        if callable(self._replies):
            reply = self._replies(request)
        else:
            if self._used >= len(self._replies):
                raise EngineError(f"the script holds {len(self._replies)} replies and is asked for one more")
            reply = self._replies[self._used]
            self._used += 1
        return Reply(text=reply) if isinstance(reply, str) else reply

    def _generation(self, request: GenerateRequest, reply: Reply) -> Generation:
        able = self._info.capabilities
        text, finish = reply.text, reply.finish_reason or FinishReason.STOP
        ends = [at + len(stop) for stop in request.stop if (at := text.find(stop)) >= 0]
        if ends:
            text, finish = text[: min(ends)], FinishReason.STOP
        pieces = self._split(text)
        if len(pieces) > request.max_tokens:
            pieces, finish = pieces[: request.max_tokens], FinishReason.LENGTH
        prompt_ids = self._prompt_ids(request.prompt, request.tools)
        wanted = able.logprobs and (request.logprobs or request.top_logprobs > 0)
        top_count = min(request.top_logprobs, able.top_logprobs)
        return Generation(
            text="".join(pieces),
            finish_reason=finish,
            usage=Usage(calls=1, prompt_tokens=len(prompt_ids), completion_tokens=len(pieces)),
            tokens=tuple(self._token(reply, i, piece, top_count) for i, piece in enumerate(pieces)) if wanted else (),
            prompt_ids=prompt_ids if able.token_ids else (),
            token_ids=tuple(self._id(piece) for piece in pieces) if able.token_ids else (),
            reasoning=reply.reasoning,
            tool_calls=reply.tool_calls,
        )

    def _scoring(self, request: GenerateRequest) -> Generation:
        """Score the prefill: a token is as likely in it as in a reply that does not say how likely it is."""
        prompt_ids = self._prompt_ids(request.prompt, request.tools)
        bare = self._prompt_ids(replace(request.prompt, prefill="", prefill_ids=()), request.tools)
        ids = prompt_ids[len(prompt_ids) - scored_tokens(bare, prompt_ids) :]
        pieces = self._split(request.prompt.prefill)
        if [self._id(piece) for piece in pieces] != list(ids):
            pieces = [""] * len(ids)
        return Generation(
            text="",
            finish_reason=FinishReason.LENGTH,
            usage=Usage(calls=1, prompt_tokens=len(prompt_ids)),
            tokens=tuple(
                TokenLogprob(token_id=ident, text=piece, logprob=_likeliness(ident))
                for ident, piece in zip(ids, pieces, strict=True)
            ),
            prompt_ids=prompt_ids if self._info.capabilities.token_ids else (),
        )

    def _token(self, reply: Reply, index: int, piece: str, top_count: int) -> TokenLogprob:
        ident = self._id(piece)
        logprob = reply.logprobs[index] if index < len(reply.logprobs) else _likeliness(ident)
        top = reply.top[index] if index < len(reply.top) else _made_up(piece, logprob)
        likeliest = sorted(top.items(), key=lambda item: -item[1])[:top_count]
        return TokenLogprob(
            token_id=ident if self._info.capabilities.token_ids else None,
            text=piece,
            logprob=logprob,
            top=dict(likeliest),
        )

    def _prompt_ids(self, prompt: Prompt, tools: Sequence[ToolSpec]) -> tuple[int, ...]:
        # Content and prefill apart, so that a continuation by text and one by ids count alike.
        rest = prompt.prefill_ids or _text_ids(prompt.prefill, self._units)
        offered = "".join(f"{tool.name}\n{tool.description}\n" for tool in tools)
        return (*_text_ids(offered + _flat(prompt), self._units), *rest)

    def _split(self, text: str) -> list[str]:
        return _pieces(text, self._units)

    def _id(self, piece: str) -> int:
        return ord(piece) if self._units == "chars" else _word_id(piece)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


@lru_cache(maxsize=65536)
def _word_id(piece: str) -> int:
    """An id that depends on the word alone, not on the order in which words were met."""
    return int.from_bytes(blake2b(piece.encode(), digest_size=6).digest(), "big")


@lru_cache(maxsize=64)
def _text_ids(text: str, units: Literal["words", "chars"]) -> tuple[int, ...]:
    """The ids of a text: a prompt is counted before it is sent, and once more when it is answered."""
    return tuple(map(ord if units == "chars" else _word_id, _pieces(text, units)))


def _pieces(text: str, units: Literal["words", "chars"]) -> list[str]:
    return list(text) if units == "chars" else _WORDS.findall(text)


def _likeliness(ident: int) -> float:
    """Return the log-probability of a token of which the script does not say it."""
    return -(1 + ident % 9) / 10


def _made_up(piece: str, logprob: float) -> dict[str, float]:
    rest = -math.expm1(logprob)
    return {piece: logprob, "<other>": math.log(rest)} if rest > 0 else {piece: logprob}


def _flat(prompt: Prompt) -> str:
    if isinstance(prompt.content, str):
        return prompt.content
    return "".join(f"{message.role}\n{message.content}\n" for message in prompt.content) + "assistant\n"
