"""From a request to the JSON that a server takes. Pure; leaves out whatever the profile says is not taken."""

from __future__ import annotations

from typing import Any

from actorcritic.engines.openai.profile import Profile
from actorcritic.engines.openai.server import Json
from actorcritic.types import GenerateRequest, Message, Prompt, ToolSpec

__all__ = ["chat_body", "completion_body", "tokenize_body", "tool_rows"]

_SEED_BITS = 31
"""What every server takes."""


def chat_body(request: GenerateRequest, profile: Profile) -> Json:
    """Return the body for `chat/completions`; a text is one user message."""
    body: Json = {**_chat(request.prompt, request.tools), **_sampling(request, profile)}
    if _asks_logprobs(request) and "logprobs" not in profile.lacking:
        body["logprobs"] = True
        if request.top_logprobs and "top_logprobs" not in profile.lacking:
            body["top_logprobs"] = min(request.top_logprobs, profile.most_top)
    return {"model": profile.model, **_without(body, profile)}


def completion_body(request: GenerateRequest, prompt_ids: tuple[int, ...], profile: Profile) -> Json:
    """Return the body for vLLM's `completions`, which takes the prompt as token ids, echoed where it is scored."""
    body: Json = {"prompt": list(prompt_ids), **_sampling(request, profile)}
    if not request.max_tokens:
        body |= {"echo": True, "logprobs": 0}
    elif _asks_logprobs(request):
        body["logprobs"] = min(request.top_logprobs, profile.most_top)
    return {"model": profile.model, **_without(body, profile)}


def tokenize_body(prompt: Prompt, tools: tuple[ToolSpec, ...], model: str, *, prefilled: bool) -> Json:
    """Return the body for vLLM's `/tokenize`: the prompt without its prefill, or with it as `prefilled` says."""
    if isinstance(prompt.content, str):
        return {"model": model, "prompt": prompt.content + (prompt.prefill if prefilled else "")}
    bare = prompt if prefilled else Prompt(content=prompt.content)
    return {"model": model, **_chat(bare, tools)}


def tool_rows(tools: tuple[ToolSpec, ...]) -> list[Json]:
    """Return tools as the API writes them."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in tools
    ]


def _chat(prompt: Prompt, tools: tuple[ToolSpec, ...]) -> Json:
    content = prompt.content
    rows = [{"role": "user", "content": content}] if isinstance(content, str) else [_row(one) for one in content]
    body: Json = {"messages": rows}
    if prompt.prefill:
        rows.append({"role": "assistant", "content": prompt.prefill})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if tools:
        body["tools"] = tool_rows(tools)
    return body


def _row(message: Message) -> Json:
    row: Json = {"role": message.role, "content": message.content}
    if message.tool_calls:
        row["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        row["tool_call_id"] = message.tool_call_id
    return row


def _sampling(request: GenerateRequest, profile: Profile) -> Json:
    # Temperature and top_p are always written out: a server's default is the model's, not 1.
    body: Json = {
        "max_tokens": request.max_tokens,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
    }
    if request.seed is not None:
        body["seed"] = request.seed % 2**_SEED_BITS
    if request.stop:
        body["stop"] = list(request.stop)
    if request.json_schema is not None:
        # OpenAI refuses to be strict about a schema that allows what it does not name.
        strict = request.json_schema.get("additionalProperties") is False
        schema: dict[str, Any] = {"name": "answer", "schema": dict(request.json_schema), "strict": strict}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if profile.vllm:
        body |= {"return_token_ids": True, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
        if request.stop:
            body["include_stop_str_in_output"] = True
    return body


def _asks_logprobs(request: GenerateRequest) -> bool:
    return request.logprobs or request.top_logprobs > 0


def _without(body: Json, profile: Profile) -> Json:
    """Leave out what the server does not take."""
    taken = {name: value for name, value in body.items() if name not in profile.lacking}
    if "max_tokens" in profile.lacking:
        taken["max_completion_tokens"] = body["max_tokens"]
    return taken
