"""What chat models say is read strictly: hostile or broken text is unreadable, never a guess."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.collection.asking import ask, ask_object, ask_yes, section, solution_of, without_thinking, word
from actorcritic.collection.step import Unreadable
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.metering import free_meter
from actorcritic.protocols import Capabilities
from actorcritic.types import FinishReason


def test_a_section_stands_there_once() -> None:
    assert section("x <step>\n a b \n</step> y", "step") == "a b"
    for text in ("", "<step></step>", "<step>a</step><step>b</step>", "<step>a", "<step><step>a</step>"):
        with pytest.raises(Unreadable):
            section(text, "step")


@given(st.text(alphabet="<>/step ab", max_size=30))
def test_no_text_breaks_the_reading_of_sections(text: str) -> None:
    try:
        assert section(text, "step").strip()
    except Unreadable:
        pass


def test_a_word_is_the_first_one() -> None:
    assert word("**Yes**, it does", ("yes", "no")) == "yes"
    for text in ("", "yesterday", "maybe yes", "I say: no"):
        with pytest.raises(Unreadable):
            word(text, ("yes", "no"))


def test_thinking_is_no_part_of_a_reply() -> None:
    assert without_thinking("<think>no</think> yes") == "yes"
    assert without_thinking("yes <think>but then") == "yes"


def test_a_reply_that_was_cut_off_says_nothing() -> None:
    for reply in (Reply(text="half", finish_reason=FinishReason.LENGTH), Reply(text="  ")):
        with pytest.raises(Unreadable):
            asyncio.run(ask(ScriptedEngine([reply]), "?", meter=free_meter()))


@pytest.mark.parametrize("text", ['{"a": 1}', '```json\n{"a": 1}\n```', 'Here:\n```\n{"a": 1}\n```\nDone.'])
def test_json_comes_bare_or_fenced(text: str) -> None:
    assert asyncio.run(ask_object(ScriptedEngine([text]), "?", meter=free_meter())) == {"a": 1}


@pytest.mark.parametrize("text", ["{", "{} {}", "```\n{}\n```\n```\n{}\n```", '{"a": NaN}', "[" * 5000])
def test_anything_else_is_no_json(text: str) -> None:
    with pytest.raises(Unreadable):
        asyncio.run(ask_object(ScriptedEngine([text]), "?", meter=free_meter()))


def test_the_probability_of_a_yes_is_that_of_the_first_token() -> None:
    reply = Reply(text="Yes", top=({"Yes": -0.5, " yes": -2.0, "no": -1.2, "x": -3.0},))
    chance = asyncio.run(ask_yes(ScriptedEngine([reply]), "?", meter=free_meter()))
    assert chance == pytest.approx(0.7418 / (0.7418 + 0.3012), abs=1e-3)


def test_without_alternatives_the_word_decides() -> None:
    engine = ScriptedEngine(["no way", "Yes.", "hm"], capabilities=Capabilities(chat=True))
    assert asyncio.run(ask_yes(engine, "?", meter=free_meter())) == 0.0
    assert asyncio.run(ask_yes(engine, "?", meter=free_meter())) == 1.0
    with pytest.raises(Unreadable):
        asyncio.run(ask_yes(engine, "?", meter=free_meter()))


def test_a_text_becomes_a_solution() -> None:
    solution = solution_of("First 1 + 1 = 2.\n\nSo \\boxed{2}.")
    assert len(solution.steps) == 2 and solution.answer == "2" and solution.complete
    with pytest.raises(Unreadable):
        solution_of(" \n ")
