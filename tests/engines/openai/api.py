"""A real HTTP server on 127.0.0.1 that speaks the OpenAI API for any engine, and fails as it is told to."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from actorcritic.errors import InputError, PromptTooLong
from actorcritic.protocols import Engine
from actorcritic.types import FinishReason, GenerateRequest, Generation, Message, Prompt, Sampling, ToolCall, ToolSpec

Json = dict[str, Any]


@dataclass(kw_only=True)
class Reaction:
    """What to do with one request in place of answering it."""

    status: int = 200
    body: Any = None
    """Bytes are sent as they are."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    hang: bool = False
    drop: bool = False
    """Close the connection without an answer."""


@dataclass(kw_only=True)
class Api:
    """The dials, and what came in. Mutable."""

    engine: Engine
    model: str = "m"
    vllm: bool = False
    """Speak vLLM's dialect: `/tokenize`, token ids, stop strings kept."""
    key: str | None = None
    """The key to insist on."""
    refuses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Fields answered with 400, and the words of it."""
    names_field: bool = True
    """Name the refused field in `param`, not only in words."""
    most_top: int = 20
    """How many alternatives may be asked for."""
    omits: set[str] = field(default_factory=set[str])
    """Of usage, logprobs, top_logprobs, models, tokenize."""
    reactions: dict[int, Reaction] = field(default_factory=dict[int, Reaction])
    """By index of the generating request, from 0."""
    always: Reaction | None = None
    edit: Any = None
    """A function of every answer that returns what is sent."""
    requests: list[Json] = field(default_factory=list[Json])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    disconnected: int = 0
    running: int = 0
    peak: int = 0
    url: str = ""

    async def models(self, request: Request) -> Response:
        if "models" in self.omits:
            return JSONResponse({"detail": "Not Found"}, 404)
        if self.always is not None:
            return _react(self.always)
        if refused := self._unauthorised(request):
            return refused
        card: Json = {"id": self.model, "object": "model", "owned_by": "vllm" if self.vllm else "me"}
        if self.vllm:
            card |= {"root": f"/models/{self.model}", "max_model_len": self.engine.info.max_context}
        return JSONResponse({"object": "list", "data": [card]})

    async def tokenize(self, request: Request) -> Response:
        body = await request.json()
        if not self.vllm or "tokenize" in self.omits:
            return JSONResponse({"detail": "Not Found"}, 404)
        prompt = Prompt(content=body["prompt"]) if "prompt" in body else _prompt(body)
        ids = self.engine.encode(prompt, _tools(body))
        return JSONResponse({"count": len(ids), "max_model_len": self.engine.info.max_context, "tokens": list(ids)})

    async def chat(self, request: Request) -> Response:
        return await self._generate(request, chat=True)

    async def completions(self, request: Request) -> Response:
        return await self._generate(request, chat=False)

    async def _generate(self, request: Request, *, chat: bool) -> Response:
        body = await request.json()
        index = len(self.requests)
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            return await self._reply(request, body, index, chat=chat)
        finally:
            self.running -= 1

    async def _reply(self, request: Request, body: Json, index: int, *, chat: bool) -> Response:
        reaction = self.reactions.get(index, self.always)
        if reaction is not None and (reaction.hang or reaction.drop):
            return await self._vanish(request, reaction)
        if reaction is not None:
            return _react(reaction)
        if refused := self._unauthorised(request) or self._refused(body):
            return refused
        if body.get("echo"):
            return JSONResponse(await self._echo(body))
        asked = GenerateRequest(
            prompt=_prompt(body) if chat else Prompt(content="", prefill_ids=tuple(body["prompt"])),
            max_tokens=int(body.get("max_tokens") or body["max_completion_tokens"]),
            sampling=Sampling(temperature=body.get("temperature", 1.0), top_p=body.get("top_p", 1.0)),
            stop=tuple(body.get("stop", ())),
            seed=body.get("seed"),
            top_logprobs=_top(body) if self.engine.info.capabilities.logprobs else 0,
            tools=_tools(body),
        )
        try:
            given = await self.engine.generate(asked)
        except (PromptTooLong, InputError) as error:
            return JSONResponse({"error": {"message": f"maximum context length: {error}", "code": 400}}, 400)
        answer = self._chat_answer(body, given) if chat else self._completion_answer(body, given)
        if self.edit:
            answer = self.edit(answer)
        return (
            StreamingResponse(_chunks(answer), media_type="text/event-stream")
            if body.get("stream")
            else JSONResponse(answer)
        )

    async def _echo(self, body: Json) -> Json:
        """Answer as vLLM does where a prompt of the hf engine is to be scored: its first token has no probability."""
        ids = tuple(body["prompt"])
        engine: Any = self.engine
        rest = Prompt(content=engine._text.piece(ids[0]), prefill_ids=ids[1:])
        given = await engine.generate(GenerateRequest(prompt=rest, max_tokens=0))
        assert body["max_tokens"] == 0 and given.prompt_ids == ids
        choice: Json = {"index": 0, "text": "", "finish_reason": "length", "prompt_token_ids": list(ids)}
        if "logprobs" not in self.omits:
            choice["logprobs"] = {
                "tokens": ["", *(token.text for token in given.tokens)],
                "token_logprobs": [None, *(token.logprob for token in given.tokens)],
                "top_logprobs": [None, *({token.text: token.logprob} for token in given.tokens)],
            }
        answer = self._wrapped(body, choice, given, {})
        answer["usage"]["completion_tokens"] = 1  # the token that vLLM draws all the same
        return answer

    async def _vanish(self, request: Request, reaction: Reaction) -> Response:
        while reaction.hang:
            if await request.is_disconnected():
                self.disconnected += 1
                break
            await asyncio.sleep(0.005)
        return _Dropped()

    def _unauthorised(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "")
        if self.key is None or given == f"Bearer {self.key}":
            return None
        return JSONResponse({"error": {"message": f"Incorrect API key provided: {given}", "code": "bad_key"}}, 401)

    def _refused(self, body: Json) -> Response | None:
        if (body.get("top_logprobs") or 0) > self.most_top:
            words = f"Invalid value for 'top_logprobs': must be less than or equal to {self.most_top}."
            return JSONResponse({"error": {"message": words, "param": "top_logprobs"}}, 400)
        name = next((name for name in self.refuses if name in body), None)
        if name is None:
            return None
        error = {"message": self.refuses[name], "param": name if self.names_field else None}
        return JSONResponse({"error": error}, 400)

    def _chat_answer(self, body: Json, given: Generation) -> Json:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in given.tool_calls
        ]
        message: Json = {"role": "assistant", "content": None if calls else self._text(body, given)}
        message |= {"tool_calls": calls} if calls else {}
        message |= {"reasoning_content": given.reasoning} if given.reasoning is not None else {}
        choice: Json = {"index": 0, "message": message, "finish_reason": str(given.finish_reason), "logprobs": None}
        if body.get("logprobs") and given.tokens and "logprobs" not in self.omits:
            choice["logprobs"] = {"content": [self._token(token) for token in _shown(given)]}
        return self._wrapped(body, choice, given, {"prompt_token_ids": list(given.prompt_ids)})

    def _token(self, token: Any) -> Json:
        row: Json = {"token": token.text, "bytes": list(token.text.encode()), "logprob": token.logprob}
        if "top_logprobs" not in self.omits:
            row["top_logprobs"] = [{"token": text, "logprob": value} for text, value in token.top.items()]
        return row

    def _completion_answer(self, body: Json, given: Generation) -> Json:
        choice: Json = {"index": 0, "text": self._text(body, given), "finish_reason": str(given.finish_reason)}
        if body.get("logprobs") is not None and given.tokens:
            shown = _shown(given)
            choice["logprobs"] = {
                "tokens": [token.text for token in shown],
                "token_logprobs": [token.logprob for token in shown],
                "top_logprobs": [{token.text: token.logprob, **token.top} for token in shown],
            }
        choice["prompt_token_ids"] = list(given.prompt_ids)
        return self._wrapped(body, choice, given, {})

    def _wrapped(self, body: Json, choice: Json, given: Generation, extra: Json) -> Json:
        answer: Json = {"id": "x", "model": self.model, "choices": [choice]}
        if self.vllm:
            stop = next((stop for stop in body.get("stop", ()) if given.text.endswith(stop)), None)
            choice |= {"stop_reason": stop, "token_ids": list(given.token_ids)}
            answer |= extra
        if "usage" not in self.omits:
            usage = given.usage
            answer["usage"] = {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
                "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            }
        return answer

    def _text(self, body: Json, given: Generation) -> str:
        """Drop the stop string, as the API does."""
        if self.vllm and body.get("include_stop_str_in_output"):
            return given.text
        for stop in body.get("stop", ()):
            if given.finish_reason is FinishReason.STOP and given.text.endswith(stop):
                return given.text.removesuffix(stop)
        return given.text


class _Dropped(Response):
    """Closes the connection."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionResetError


async def _chunks(answer: Json) -> AsyncIterator[str]:
    """Stream a chat answer as servers do: text in pieces, each tool call in a head and pieces of its arguments."""
    (choice,) = answer["choices"]
    message = choice["message"]
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in re.findall(r"\s*\S+\s*", message["content"] or "")]
    for place, made in enumerate(message.get("tool_calls", ())):
        name, arguments = made["function"]["name"], made["function"]["arguments"]
        head = {"index": place, "id": made["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [head]})
        pieces = [arguments[at : at + 5] for at in range(0, len(arguments), 5)]
        deltas += [{"tool_calls": [{"index": place, "function": {"arguments": piece}}]} for piece in pieces]
    head = {"id": answer["id"], "object": "chat.completion.chunk", "model": answer["model"]}
    finish = "tool_calls" if message.get("tool_calls") else choice["finish_reason"]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**head, "choices": [], "usage": answer.get("usage")})
    for chunk in chunks:
        yield f"data: {json.dumps(chunk)}\n\n"
        await asyncio.sleep(0)
    yield "data: [DONE]\n\n"


def _react(reaction: Reaction) -> Response:
    if isinstance(reaction.body, bytes):
        return Response(reaction.body, reaction.status, dict(reaction.headers), "application/json")
    return JSONResponse(reaction.body or {"error": {"message": "as told"}}, reaction.status, dict(reaction.headers))


def _prompt(body: Json) -> Prompt:
    rows, prefill = list(body["messages"]), ""
    if body.get("continue_final_message"):
        prefill = rows.pop()["content"]
    return Prompt(content=tuple(_message(row) for row in rows), prefill=prefill)


def _message(row: Json) -> Message:
    calls = tuple(
        ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in row.get("tool_calls", ())
    )
    return Message(
        role=row["role"], content=row["content"] or "", tool_calls=calls, tool_call_id=row.get("tool_call_id")
    )


def _tools(body: Json) -> tuple[ToolSpec, ...]:
    functions = [row["function"] for row in body.get("tools", ())]
    return tuple(
        ToolSpec(name=one["name"], description=one["description"], parameters=one["parameters"]) for one in functions
    )


def _top(body: Json) -> int:
    asked = body.get("top_logprobs", body.get("logprobs"))
    return asked if isinstance(asked, int) and not isinstance(asked, bool) else 0


def _shown(given: Generation) -> list[Any]:
    """Return the tokens; an end token shows by its name, as servers have it."""
    return [token if token.text else replace(token, text="<end>") for token in given.tokens]


@contextmanager
def serving(api: Api, port: int = 0) -> Generator[Api, None, None]:
    """Serve in a thread until left."""
    app = Starlette(
        routes=[
            Route("/v1/models", api.models),
            Route("/tokenize", api.tokenize, methods=["POST"]),
            Route("/v1/chat/completions", api.chat, methods=["POST"]),
            Route("/v1/completions", api.completions, methods=["POST"]),
        ]
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="critical", ws="none", lifespan="off", loop="asyncio"
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.002)
    api.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield api
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
