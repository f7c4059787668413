"""Texts in place of token ids: what joins, joins again; what is cut, is cut cleanly; estimates keep prefixes."""

from __future__ import annotations

from hypothesis import given, strategies

from actorcritic.engines.texts import cut_tokens, end_of_stop, estimate_ids, spell_tokens
from actorcritic.types import Message, Prompt, TokenLogprob, ToolCall, ToolSpec

TEXT = strategies.text(alphabet="ab é\n.€", max_size=20)


def tokens(*texts: str) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token_id=None, text=text, logprob=-1.0) for text in texts)


def spelt(text: str, *pieces: str) -> list[str]:
    return [token.text for token in spell_tokens(text, tokens(*pieces))]


def test_an_end_token_and_parts_of_a_character_spell_nothing() -> None:
    assert spelt("one two", "one", " two", "<end>") == ["one", " two", ""]
    assert spelt("a€b", "a", "\ufffd", "\ufffd", "b") == ["a", "", "€", "b"]
    assert spelt("a€", "a", "\ufffd", "\ufffd") == ["a", "", "€"]
    assert spelt("€€", "\ufffd", "\ufffd") == ["\ufffd", "\ufffd"]


def test_a_text_cut_inside_a_token_cuts_the_token() -> None:
    assert spelt("one.", "one", ".\n\n", "two") == ["one", ".", ""]
    assert spelt("one.", "one") == ["one."]


def test_tokens_of_another_text_keep_their_own() -> None:
    assert spelt("yes", "n", "o") == ["n", "o"]
    assert spelt("yes") == []


@given(pieces=strategies.lists(TEXT, max_size=8), at=strategies.integers(0, 200))
def test_tokens_spell_their_text_wherever_it_is_cut(pieces: list[str], at: int) -> None:
    whole = "".join(pieces)
    assert "".join(spelt(whole, *pieces)) == whole
    assert "".join(token.text for token in cut_tokens(tokens(*pieces), at)) == whole[:at]


@given(text=TEXT, stops=strategies.lists(strategies.text(alphabet="ab\n.", min_size=1, max_size=3), max_size=3))
def test_the_first_stop_string_ends_a_text(text: str, stops: list[str]) -> None:
    end = end_of_stop(text, stops)
    if end is None:
        assert not any(stop in text for stop in stops)
    else:
        assert text[:end].endswith(tuple(stops)) and not any(stop in text[: end - 1] for stop in stops)


def test_an_estimate_is_of_the_right_order_and_keeps_prefixes() -> None:
    english = "The quick brown fox jumps over the lazy dog, and then it sleeps for 12345 seconds.\n" * 4
    assert 60 <= len(estimate_ids(Prompt(content=english))) <= 120
    assert len(estimate_ids(Prompt(content="日本語の文章です"))) == 8
    chat = (Message(role="user", content=english), Message(role="assistant", content="Yes."))
    short = estimate_ids(Prompt(content=chat[:1]))[:-3]
    assert estimate_ids(Prompt(content=chat))[: len(short)] == short
    assert len(estimate_ids(Prompt(content=english, prefill="more words"))) > len(estimate_ids(Prompt(content=english)))
    tool = ToolSpec(name="add", description="Add.", parameters={})
    assert len(estimate_ids(Prompt(content="x"), (tool,))) > 1
    called = (Message(role="assistant", content="", tool_calls=(ToolCall(id="1", name="add", arguments="{}"),)),)
    assert len(estimate_ids(Prompt(content=called))) > 5
