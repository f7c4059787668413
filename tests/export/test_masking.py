"""Parts of an answer are learnt, and the ids are those of the whole chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.chat import assistant, user
from actorcritic.export.masking import IGNORED, masked_tokens, masked_turns

PROMPT = user("Q")


class Pairs:
    """A tokenizer whose tokens are two characters wide, wherever two parts meet; ids tell the text back."""

    name = "pairs"

    def __init__(self, opening: str = "<a>") -> None:
        self.opening = opening

    def encode(self, text: str) -> list[int]:
        return [int.from_bytes(text[i : i + 2].encode("utf-32-le"), "little") for i in range(0, len(text), 2)]

    def chat(self, messages: Sequence[Any], *, ask: bool = False) -> list[int]:
        last = [] if ask else self.encode(f"{messages[-1]['content']}</>")
        before = messages if ask else messages[:-1]
        opening = "<a>" if ask else self.opening
        return [*self.encode("".join(f"<u>{m['content']}</>" for m in before)), *self.encode(opening), *last]


def text_of(ids: Sequence[Any]) -> str:
    return "".join(number.to_bytes(8, "little").decode("utf-32-le").rstrip("\0") for number in ids)


def learnt(columns: Any) -> str:
    return text_of([label for label in columns["labels"] if label != IGNORED])


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([("abcd", True), ("efgh", False), ("ij", True)], "abcdij</>"),
        ([("abcd", False), ("efgh", True)], "efgh</>"),
        # `cd` straddles: it goes with the later part.
        ([("abc", False), ("defg", True)], "cdefg</>"),
        ([("abc", True), ("defg", False)], "ab"),
        ([("abcd", False)], ""),
        ([("", True), ("ab", False), ("cd", True)], "cd</>"),
    ],
)
def test_what_is_learnt(parts: list[tuple[str, bool]], expected: str) -> None:
    assert learnt(masked_tokens(PROMPT, parts, Pairs())) == expected


@given(st.lists(st.tuples(st.text("abc", max_size=5), st.booleans()), min_size=1, max_size=6))
def test_ids_are_those_of_the_chat_and_the_prompt_is_never_learnt(parts: list[tuple[str, bool]]) -> None:
    tokenizer = Pairs()
    columns = masked_tokens(PROMPT, parts, tokenizer)
    ids, labels = columns["input_ids"], columns["labels"]
    assert isinstance(ids, list) and isinstance(labels, list) and len(ids) == len(labels)
    assert ids == tokenizer.chat([*PROMPT, *assistant("".join(text for text, _ in parts))])
    assert set(labels[: len(tokenizer.chat(PROMPT, ask=True))]) == {IGNORED}
    assert all(label in (IGNORED, token) for label, token in zip(labels, ids, strict=True))


def test_a_template_that_begins_answers_otherwise_is_refused() -> None:
    with pytest.raises(InputError, match="the chat template of pairs begins an answer in another way"):
        masked_tokens(PROMPT, [("a", True)], Pairs(opening="<b>"))


TURNS = [*assistant("go"), *user("a hall"), *assistant("take key")]


class Turns:
    """A tokenizer of words, each turn between a word that opens and one that closes it."""

    name = "turns"

    def __init__(self, *, forgets: bool = False) -> None:
        self.words: list[str] = []
        self.forgets = forgets

    def encode(self, text: str) -> list[int]:
        found = text.split()
        self.words += [word for word in dict.fromkeys(found) if word not in self.words]
        return [self.words.index(word) for word in found]

    def chat(self, messages: Sequence[Any], *, ask: bool = False) -> list[int]:
        kept = [m["content"] if m is messages[-1] or not self.forgets else "-" for m in messages]
        text = " ".join(f"<{m['role']}> {said} </>" for m, said in zip(messages, kept, strict=True))
        return self.encode(text + (" <assistant>" if ask else ""))


@pytest.mark.parametrize(
    ("learnt", "words"),
    [((True, True), "go </> take key </>"), ((False, True), "take key </>"), ((True, False), "go </>")],
)
def test_of_several_turns_the_marked_ones_are_learnt(learnt: tuple[bool, bool], words: str) -> None:
    tokenizer = Turns()
    row = masked_turns(PROMPT, TURNS, learnt, tokenizer)
    ids, labels = row["input_ids"], row["labels"]
    assert isinstance(ids, list) and isinstance(labels, list) and len(ids) == len(labels)
    assert " ".join(tokenizer.words[int(str(ident))] for ident in labels if ident != IGNORED) == words
    assert all(label in (IGNORED, ident) for label, ident in zip(labels, ids, strict=True))


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    with pytest.raises(InputError, match="rewrites what was said before"):
        masked_turns(PROMPT, TURNS, (True, True), Turns(forgets=True))
