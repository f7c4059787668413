"""The memo engine: the same answers and the same bill, with fewer calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.engines.memo import MemoEngine
from actorcritic.engines.scripted import ALL_CAPABILITIES, Reply, ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.types import GenerateRequest, Prompt

REQUEST = GenerateRequest(prompt=Prompt(content="go"), max_tokens=10, seed=1)


def echo(request: GenerateRequest) -> str | Reply:
    return f"one two {request.seed}"


async def test_the_same_request_is_made_once_and_billed_twice() -> None:
    inner = ScriptedEngine(echo)
    engine = MemoEngine(inner)
    first, again = await engine.generate(REQUEST), await engine.generate(replace(REQUEST, max_tokens=99))
    assert first == again and first.usage.calls == 1
    assert len(inner.calls) == 1 and engine.hits == 1
    assert engine.info == inner.info and engine.encode(REQUEST.prompt) == inner.encode(REQUEST.prompt)


@pytest.mark.parametrize("other", [{"seed": 2}, {"seed": None}, {"prompt": Prompt(content="stop")}, {"max_tokens": 2}])
async def test_another_request_is_another_call(other: dict[str, object]) -> None:
    inner = ScriptedEngine(echo)
    engine = MemoEngine(inner)
    await engine.generate(REQUEST)
    await engine.generate(replace(REQUEST, **other))  # type: ignore[arg-type]  # one field at a time
    assert len(inner.calls) == 2


async def test_a_cut_off_completion_is_not_remembered() -> None:
    inner = ScriptedEngine(echo)
    engine = MemoEngine(inner)
    short = replace(REQUEST, max_tokens=2)
    await engine.generate(short)
    await engine.generate(REQUEST)
    assert len(inner.calls) == 2


def test_an_engine_without_seeds_is_refused() -> None:
    with pytest.raises(InputError, match="same seed"):
        MemoEngine(ScriptedEngine([], capabilities=replace(ALL_CAPABILITIES, seeds=False)))


async def test_what_was_said_in_an_earlier_life_is_remembered() -> None:
    before, inner = ScriptedEngine(echo), ScriptedEngine(echo)
    engine = MemoEngine(inner)
    engine.remember(REQUEST, await before.generate(REQUEST))
    short = replace(REQUEST, max_tokens=1, seed=9)
    engine.remember(short, await before.generate(short))
    assert (await engine.generate(REQUEST)).text == "one two 1" and not inner.calls
    await engine.generate(replace(REQUEST, seed=9))
    assert len(inner.calls) == 1, "one that was cut off is no answer"
