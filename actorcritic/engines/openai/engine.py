"""A model on an OpenAI-compatible server behind the `Engine` protocol.

On vLLM a prompt is counted by the server and sent as token ids, so that budgets are hard and prefixes exact (thinking
then stays in the text, between its tags); on any other server it is sent as a chat and its length is an estimate. What
a server lacks is worked around and noted.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from actorcritic.engines.answer import Answer, ending_is_known, estimate_usage, make_generation, scored_tokens
from actorcritic.engines.in_flight import InFlight
from actorcritic.engines.openai.address import parse_url
from actorcritic.engines.openai.answers import read_chat_answer, read_completion_answer, read_echo
from actorcritic.engines.openai.bodies import chat_body, completion_body, tokenize_body
from actorcritic.engines.openai.failures import RequestRefused, Secret
from actorcritic.engines.openai.profile import MOST_TOP_LOGPROBS, Profile, read_model_card, read_token_ids
from actorcritic.engines.openai.retrying import Gate, RetryPolicy
from actorcritic.engines.openai.server import Json, Server
from actorcritic.engines.texts import estimate_ids
from actorcritic.errors import EngineError, InputError, PromptTooLong
from actorcritic.protocols import EngineInfo
from actorcritic.types import GenerateRequest, Generation, Prompt, ToolSpec, Usage

__all__ = ["OpenAIEngine", "OpenAIOptions"]

PROMPTS_KEPT = 512
MOST_REFUSALS = 24
"""How many fields a server may refuse, one by one, before a request counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIOptions:
    """How a server is used."""

    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; a server that wants none needs none."""
    concurrency: int = 64
    """Requests in flight at a time, >= 1."""
    timeout: float = 600.0
    """Seconds that one try of a request may take."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    deterministic: bool = False
    """Say True where the server gives the same completion for the same seed, whatever runs beside it: most do not."""
    licence: str | None = None
    """SPDX id of the model's licence, for provenance."""


class OpenAIEngine:
    """Answers requests with a model on a server. Make one with `connect`.

    Args:
        server: where requests go.
        profile: what is known of the model there.
        name: how a person calls it.
        options: how it is used.
    """

    def __init__(
        self, server: Server, profile: Profile, *, name: str | None = None, options: OpenAIOptions | None = None
    ) -> None:
        chosen = options if options is not None else OpenAIOptions()
        profile.deterministic = profile.deterministic or chosen.deterministic
        self._server = server
        self._profile = profile
        self._name = name or f"openai:{profile.model}@{server.url}"
        self._licence = chosen.licence
        self._flight = InFlight(self._name)
        self._prompts: OrderedDict[Prompt, tuple[int, ...]] = OrderedDict()

    @classmethod
    def connect(
        cls,
        model: str,
        url: str,
        options: OpenAIOptions | None = None,
        *,
        name: str | None = None,
        gate: Gate | None = None,
    ) -> OpenAIEngine:
        """Reach a server and learn what can be learnt for nothing (on vLLM, for one token); waits for it.

        Args:
            model: its name on the server.
            url: the server's base URL, such as `http://localhost:8000/v1`.
            options: how it is used.
            name: how a person calls it.
            gate: shared by engines on the same server; None = one of its own.

        Raises:
            InputError: the URL is none, or a vLLM server does not serve this model.
            EngineUnavailable: the server cannot be reached.
            EngineError: it refuses the key.
        """
        chosen = options if options is not None else OpenAIOptions()
        secret = Secret(chosen.key_variable, os.environ.get(chosen.key_variable, "").strip())
        server = Server(
            parse_url(url),
            secret,
            gate=gate if gate is not None else Gate(chosen.concurrency),
            policy=chosen.retry,
            timeout=chosen.timeout,
        )
        return cls(server, _learn(server, model), name=name, options=chosen)

    def on(self, url: str, options: OpenAIOptions, *, gate: Gate) -> OpenAIEngine:
        """Return an engine for the same model on another server, which is taken to be alike and not reached yet."""
        url = parse_url(url)
        server = Server(url, self._server.secret, gate=gate, policy=options.retry, timeout=options.timeout)
        profile = replace(self._profile, server=url, lacking=set(self._profile.lacking), notes=[])
        return OpenAIEngine(server, profile, options=options)

    @property
    def info(self) -> EngineInfo:
        """Who is answering; the capabilities shrink as the server is found to lack something."""
        return EngineInfo(
            model=self._profile.fingerprint,
            name=self._name,
            capabilities=self._profile.capabilities,
            max_context=self._profile.max_context,
            licence=self._licence,
            notes=tuple(self._profile.notes),
        )

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return self._server.url

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return a prompt's ids: vLLM's own, or an estimate. Waits for the server; `encode_later` does not."""
        if not self._profile.tokens:
            return estimate_ids(prompt, tools)
        known = self._known(prompt, tools)
        if known is None:
            answer = self._server.ask_now(_tokenize_url(self.url), self._question(prompt, tuple(tools)))
            known = _counted(answer, self.url) + prompt.prefill_ids
            self._keep(prompt, tools, known)
        return known

    async def encode_later(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return what `encode` does, without holding up others meanwhile.

        Raises:
            EngineError: the server did not answer.
        """
        if not self._profile.tokens:
            return estimate_ids(prompt, tools)
        known = self._known(prompt, tools)
        if known is None:
            answer = await self._server.post(_tokenize_url(self.url), self._question(prompt, tuple(tools)))
            known = _counted(answer, self.url) + prompt.prefill_ids
            self._keep(prompt, tools, known)
        return known

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request; cancelling the task closes its connection.

        Raises:
            InputError: a value out of range, or a prefill where the server cannot go on from one.
            PromptTooLong: prompt and `max_tokens` exceed the context.
            EngineUnavailable: the server is gone, or answered with errors for too long; or the engine is closed.
            EngineError: the server refused the request, or answered with nonsense.
        """
        self._check(request)
        if not request.max_tokens:
            return await self._flight.run(self._score(request))
        answer, spent = await self._flight.run(self._answer(request))
        return make_generation(request, answer, spent)

    async def check_health(self) -> None:
        """See, in one try, that the server answers and still serves this model.

        Raises:
            EngineError: it does not.
        """
        self._flight.refuse_closed()
        listed = await self._server.list_models()
        try:
            same = listed is None or _card(listed, self._profile).fingerprint == self._profile.fingerprint
        except InputError:
            same = False
        if not same:
            raise EngineError(f"{self.url} has another model than {self._profile.fingerprint} by now")

    async def aclose(self) -> None:
        """Close all connections; requests in flight fail with `EngineUnavailable`."""
        self._flight.close()
        await self._server.aclose()

    # --- sending ---------------------------------------------------------------------------------------------------

    async def _answer(self, request: GenerateRequest) -> tuple[Answer, Usage]:
        """Get an answer of which it is certain how it ended, and what all tries for it cost."""
        answer = await self._send(request)
        spent = answer.usage or estimate_usage(request, answer)
        if ending_is_known(answer, request.stop):
            return answer, spent
        # Nobody can tell whether a stop string or the model ended this text: ask without, and cut.
        self._profile.lose("stop")
        answer = await self._send(request)
        return answer, spent + (answer.usage or estimate_usage(request, answer))

    async def _send(self, request: GenerateRequest) -> Answer:
        """Send a request, each time without what the server has refused by then."""
        for _ in range(MOST_REFUSALS):
            profile = self._profile
            by_ids = profile.tokens and not request.tools
            prompt_ids: tuple[int, ...] = ()
            if by_ids:
                prompt_ids = await self.encode_later(request.prompt)
                self._check_length(prompt_ids, request.max_tokens)
                path, body = "completions", completion_body(request, prompt_ids, profile)
            else:
                path, body = "chat/completions", chat_body(request, profile)
            try:
                payload = await self._server.generate(path, body, most_bytes=2**22 + 2**13 * request.max_tokens)
            except RequestRefused as refusal:
                if not profile.learn_refusal(refusal, body):
                    raise
                continue
            answer = (read_completion_answer if by_ids else read_chat_answer)(payload, self.url)
            if by_ids and (answer.prompt_ids != prompt_ids or not answer.token_ids):
                raise EngineError(f"{self.url} answered for another prompt, or without token ids")
            self._learn_from(answer, body)
            return _as_sent(answer, body, ids=profile.tokens)
        raise EngineError(f"{self.url} refuses one field of the request after another")

    async def _score(self, request: GenerateRequest) -> Generation:
        """Have vLLM echo a prompt with the log-probabilities of its prefill's tokens."""
        prompt_ids = await self.encode_later(request.prompt, request.tools)
        bare = await self.encode_later(replace(request.prompt, prefill="", prefill_ids=()), request.tools)
        scored = scored_tokens(bare, prompt_ids)
        self._check_length(prompt_ids, 1)  # vLLM draws one token where none is wanted
        body = completion_body(request, prompt_ids, self._profile)
        try:
            payload = await self._server.generate("completions", body, most_bytes=2**22 + 2**13 * len(prompt_ids))
        except RequestRefused as refusal:
            self._profile.lose("echo")
            raise InputError(f"{self._name} scores no given text: {refusal}") from refusal
        answer = read_echo(payload, prompt_ids, scored, self.url)
        if answer is None:
            self._profile.lose("echo")
            raise InputError(f"{self._name} scores no given text: it echoes a prompt without its log-probabilities")
        cached = 0 if answer.usage is None else answer.usage.cached_tokens
        return Generation(
            text="",
            finish_reason=answer.finish,
            usage=Usage(calls=1, prompt_tokens=len(prompt_ids), cached_tokens=cached),
            tokens=answer.tokens,
            prompt_ids=prompt_ids,
        )

    def _learn_from(self, answer: Answer, body: Json) -> None:
        """Note what was asked for and silently left out."""
        profile = self._profile
        if "logprobs" in body and answer.text and not answer.tokens:
            profile.lose("logprobs")
        asked = body.get("top_logprobs")
        if asked and answer.tokens and not any(token.top for token in answer.tokens):
            profile.lose("top_logprobs")
        if answer.usage is None:
            profile.say("reports no usage: token counts are estimates")
        elif answer.usage.completion_tokens > max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)):
            profile.say("writes more tokens than it is asked for")

    # --- prompts ---------------------------------------------------------------------------------------------------

    def _question(self, prompt: Prompt, tools: tuple[ToolSpec, ...]) -> Json:
        """Return what to ask `/tokenize`: the prompt, with its prefill unless that is known as ids."""
        return tokenize_body(prompt, tools, self._profile.model, prefilled=not prompt.prefill_ids)

    def _known(self, prompt: Prompt, tools: Sequence[ToolSpec]) -> tuple[int, ...] | None:
        found = None if tools else self._prompts.get(prompt)
        if found is not None:
            self._prompts.move_to_end(prompt)
        return found

    def _keep(self, prompt: Prompt, tools: Sequence[ToolSpec], ids: tuple[int, ...]) -> None:
        if not tools:
            self._prompts[prompt] = ids
            if len(self._prompts) > PROMPTS_KEPT:
                self._prompts.popitem(last=False)

    def _check(self, request: GenerateRequest) -> None:
        """Refuse what is out of range or cannot be done."""
        self._flight.refuse_closed()
        sampling = request.sampling
        if request.max_tokens < 1 and not (request.max_tokens == 0 and self._profile.capabilities.scores_text):
            raise InputError(f"max_tokens is {request.max_tokens}, not at least 1: {self._name} scores no given text")
        if not sampling.temperature >= 0 or not 0 < sampling.top_p <= 1:
            raise InputError("temperature must be 0 or more, and top_p lie in (0, 1]")
        if not 0 <= request.top_logprobs <= MOST_TOP_LOGPROBS:
            raise InputError(f"top_logprobs is {request.top_logprobs}: it must lie in [0, {MOST_TOP_LOGPROBS}]")
        if any(not stop for stop in request.stop):
            raise InputError("a stop string is empty")
        if request.prompt.prefill and not self._profile.capabilities.prefill:
            raise InputError(f"{self._name} cannot go on from a prefill")

    def _check_length(self, prompt_ids: tuple[int, ...], max_tokens: int) -> None:
        limit, length = self._profile.max_context, len(prompt_ids)
        if limit is not None and length + max_tokens > limit:
            advice = f"lower max_tokens to {limit - length}" if length < limit else "shorten the prompt"
            raise PromptTooLong(
                f"the prompt has {length} tokens and max_tokens is {max_tokens}, but the model reads {limit} tokens "
                f"in all: {advice}, or take a model with a longer context"
            )


def _learn(server: Server, model: str) -> Profile:
    """Ask a server what it serves, and whether it counts tokens."""
    try:
        profile = read_model_card(server.ask_now("models"), model, server.url)
    except RequestRefused:  # it has no list of models
        return Profile(model=model, server=server.url, fingerprint=f"openai:{model}")
    if not profile.vllm:
        profile.say("counts no prompt before it is sent: the budget of tokens is an estimate")
        profile.say("goes on from no beginning of an answer: kept steps are quoted in the request")
        return profile
    profile.tokens = _takes_ids(server, model)
    if not profile.tokens:
        profile.say("does not take token ids: the budget of tokens is an estimate")
    return profile


def _takes_ids(server: Server, model: str) -> bool:
    """Have vLLM count a prompt and go on from its ids by one token."""
    try:
        ids = read_token_ids(server.ask_now(_tokenize_url(server.url), {"model": model, "prompt": "one two"}))
        if not ids:
            return False
        body = {"model": model, "prompt": list(ids), "max_tokens": 1, "return_token_ids": True}
        answer = read_completion_answer(server.ask_now("completions", body), server.url)
    except EngineError:
        return False
    return answer.prompt_ids == ids and bool(answer.token_ids)


def _card(listed: Json, profile: Profile) -> Profile:
    return read_model_card(listed, profile.model, profile.server)


def _tokenize_url(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/v1')}/tokenize"


def _counted(answer: Mapping[str, object], server: str) -> tuple[int, ...]:
    ids = read_token_ids(answer)
    if ids is None:
        raise EngineError(f"{server} has stopped counting tokens")
    return ids


def _as_sent(answer: Answer, body: Json, *, ids: bool) -> Answer:
    """Return an answer in the light of what was asked: without a stop string sent, none can have ended it."""
    if not ids:  # beside estimated prompts, real ids would be of another world
        answer = replace(answer, prompt_ids=(), token_ids=())
    return answer if "stop" in body else replace(answer, tells_stop=True)
