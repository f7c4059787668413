"""Asking the engine that stands before a server of this machine."""

from __future__ import annotations

from typing import Any

from actorcritic.engines.openai import OpenAIEngine, OpenAIOptions
from actorcritic.types import GenerateRequest, Generation, Message, Prompt
from tests.engines.openai.api import Api

STORY = "one two three, four five six. Seven eight nine ten"
CHAT = (Message(role="system", content="w1 w2"), Message(role="user", content="w3 w4"))


def request(content: Any = "w1 w2", **fields: Any) -> GenerateRequest:
    prompt = content if isinstance(content, Prompt) else Prompt(content=content)
    values: dict[str, Any] = {"prompt": prompt, "max_tokens": 8, **fields}
    return GenerateRequest(**values)


def connect(api: Api, **options: Any) -> OpenAIEngine:
    return OpenAIEngine.connect(api.model, api.url, OpenAIOptions(**options))


async def ask(api: Api, asked: GenerateRequest) -> Generation:
    engine = connect(api)
    try:
        return await engine.generate(asked)
    finally:
        await engine.aclose()


def story(asked: GenerateRequest) -> str:
    return STORY if asked.seed is None else STORY[asked.seed % 7 * 3 :]
