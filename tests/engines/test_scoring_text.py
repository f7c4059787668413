"""Given texts are scored as the model alone would: one forward pass over them, whatever is decoded beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from actorcritic.engines.transformers import TransformersEngine, TransformersOptions
from actorcritic.engines.transformers.model import quiet_loading
from actorcritic.errors import InputError, PromptTooLong
from actorcritic.loading import EMBEDDED
from actorcritic.types import FinishReason, GenerateRequest, Generation, Message, Prompt, Usage
from tests.engines.tiny import make_model, make_tokenizer

ACTOR = str(EMBEDDED / "actor")
SPACE = 4
PROBLEM = "numbers 7 13 14 to 15\n"


def make_engine(model: Any = None, **options: Any) -> TransformersEngine:
    return TransformersEngine(
        model or make_model(),
        make_tokenizer(),
        end_ids=frozenset(),
        name="tiny",
        max_context=2048,
        options=TransformersOptions(**options),
    )


def scoring(prompt: Prompt) -> GenerateRequest:
    return GenerateRequest(prompt=prompt, max_tokens=0)


def row_of(length: int, step: int = 7, start: int = 0) -> tuple[int, ...]:
    """Return so many ids that their own text is made of: words and the spaces between them."""
    return tuple(SPACE if i % 2 else 12 + (step * i + start) % 170 for i in range(length))


def by_ids(ids: tuple[int, ...], scored: int) -> GenerateRequest:
    """Score the last so many of some ids; what is before them is text."""
    words = str(make_tokenizer().decode(list(ids[:-scored])))
    return scoring(Prompt(content=words, prefill_ids=ids[-scored:]))


def expected(model: Any, ids: tuple[int, ...], scored: int) -> list[float]:
    """Return the log-probabilities of the last ids in one plain forward pass."""
    with torch.inference_mode():
        rows = model(input_ids=torch.tensor([ids])).logits[0, :-1].float().log_softmax(-1)
    found = rows.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return cast("list[float]", found[-scored:].tolist())


def values(generation: Generation) -> list[float]:
    return [token.logprob for token in generation.tokens]


@pytest.fixture
async def engine() -> AsyncIterator[TransformersEngine]:
    made = make_engine()
    yield made
    await made.aclose()


async def test_the_embedded_pair_scores_what_it_wrote_as_a_plain_forward_pass_does() -> None:
    with quiet_loading():
        model = cast("Any", AutoModelForCausalLM.from_pretrained(ACTOR, dtype=torch.float32)).eval()
        tokenizer = AutoTokenizer.from_pretrained(ACTOR)
    engine = TransformersEngine.load(ACTOR)
    wrote = await engine.generate(GenerateRequest(prompt=Prompt(content=PROBLEM), max_tokens=40, seed=3))
    prompt = Prompt(content=PROBLEM, prefill=wrote.text, prefill_ids=wrote.token_ids)
    given = await engine.generate(scoring(prompt))
    assert given.prompt_ids == (*tokenizer(PROBLEM)["input_ids"], *wrote.token_ids)
    assert [token.token_id for token in given.tokens] == list(wrote.token_ids)
    assert "".join(token.text for token in given.tokens) == wrote.text
    assert values(given) == pytest.approx(expected(model, given.prompt_ids, len(wrote.token_ids)), abs=1e-4)
    assert values(given) == pytest.approx(values(wrote), abs=1e-4)
    assert (given.text, given.token_ids, given.finish_reason) == ("", (), FinishReason.LENGTH)
    assert given.usage == Usage(calls=1, prompt_tokens=len(given.prompt_ids), cached_tokens=given.usage.cached_tokens)
    await engine.aclose()


@settings(max_examples=12)
@given(lengths=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=5))
async def test_it_is_so_for_any_lengths_side_by_side(lengths: list[tuple[int, int]]) -> None:
    model, engine = make_model(), make_engine(max_batch=3)
    rows = [row_of(sum(pair), 7 * n + 7, n) for n, pair in enumerate(lengths)]
    asked = [by_ids(row, pair[1]) for row, pair in zip(rows, lengths, strict=True)]
    writing = GenerateRequest(prompt=Prompt(content="w1 w2"), max_tokens=9, seed=1)
    *scored, wrote = await asyncio.gather(*(engine.generate(one) for one in (*asked, writing)))
    for row, pair, one in zip(rows, lengths, scored, strict=True):
        assert one.prompt_ids == row
        assert values(one) == pytest.approx(expected(model, row, pair[1]), abs=1e-4)
    assert len(wrote.token_ids) == 9
    await engine.aclose()


async def test_a_text_of_several_passes_is_scored_to_its_end(engine: TransformersEngine) -> None:
    ids = row_of(1300, 13)
    one = await engine.generate(by_ids(ids, 1200))
    alone = make_engine(prefix_cache_bytes=0)
    other = await alone.generate(by_ids(ids, 1200))
    assert len(one.tokens) == 1200 and values(one) == values(other)
    await alone.aclose()


async def test_a_cached_beginning_changes_nothing(engine: TransformersEngine) -> None:
    ids = row_of(80, 11)
    first, again, longer = [await engine.generate(by_ids(ids, count)) for count in (20, 20, 60)]
    assert values(first) == values(again) == values(longer)[-20:]
    assert first.usage.cached_tokens == 0 and again.usage.cached_tokens == 59 and longer.usage.cached_tokens == 19


async def test_company_changes_no_number(engine: TransformersEngine) -> None:
    asked = [by_ids(row_of(20 + 9 * n, n), 3 + n) for n in range(1, 9)]
    alone = [values(await engine.generate(one)) for one in asked]
    crowd = make_engine()
    together = await asyncio.gather(*(crowd.generate(one) for one in asked))
    assert [values(one) for one in together] == alone
    await crowd.aclose()


async def test_a_chat_is_scored_from_where_the_answer_begins(engine: TransformersEngine) -> None:
    chat = (Message(role="user", content="w1"),)
    given = await engine.generate(scoring(Prompt(content=chat, prefill="w5 w6")))
    assert [token.text for token in given.tokens] == ["w5", " ", "w6"]


async def test_what_cannot_be_scored_is_refused(engine: TransformersEngine) -> None:
    for prompt, said in (
        (Prompt(content="w1"), "give a prefill"),
        (Prompt(content="", prefill_ids=(12, 13)), "nothing stands before"),
    ):
        with pytest.raises(InputError, match=said):
            await engine.generate(scoring(prompt))
    with pytest.raises(PromptTooLong):
        await engine.generate(by_ids(row_of(2100), 1))
