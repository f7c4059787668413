"""vLLM's own OpenAI-compatible server on 127.0.0.1, through the `openai:` engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from actorcritic.engines.conformance import CHECKS, Check, check_closing
from actorcritic.engines.load import load_engine
from actorcritic.protocols import Engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]

PROMPT = "Count from one to twenty: one, two, three,"


@pytest.fixture
async def engine(vllm_server: str) -> AsyncIterator[Engine]:
    made = load_engine(f"openai:smol@{vllm_server}")
    yield made
    await made.aclose()  # on the loop that its connections belong to


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_it_keeps_its_promises(check: Check, engine: Engine) -> None:
    if not check.applies(engine.info):
        pytest.skip("not declared")
    await check.run(engine, PROMPT)


async def test_closing(engine: Engine) -> None:
    await asyncio.sleep(0)
    await check_closing(engine, PROMPT)
