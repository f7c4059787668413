"""Answers in a text: the last one wins, none is None, and hostile text costs no time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.answers import extract_answer, normalise


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{5}.", "5"),
        (r"\boxed{\frac{1}{2}} and \boxed{ \text{a \} b} }", r"\text{a \} b}"),
        (r"\boxed{1} The answer is 2.", "2"),
        (r"The answer is 2. Check: \boxed{1}", "1"),
        (r"The final answer is: $\boxed{18}$. I hope it is correct.", "18"),
        ("The answer is 18. I hope it is correct.", "18"),
        ("The answer is $3.50.", "$3.50"),
        ("The answer is St. Louis. Yes", "St. Louis"),
        ("**Answer:** 42\n", "42"),
        ("The final answer is:\n\n42", "42"),
        ("the answer to the question is **7**,", "7"),
        ("The answer is 1\nThe answer is 2\n", "2"),
        ("Answer = x + 1", "x + 1"),
        ("The answer is not 5.", "not 5"),
        (r"The answer is \(3\)", "3"),
        (r"a \boxed{1} then cut \boxed{2", "1"),
        (r"\fbox {a{b}c}", "a{b}c"),
        (r"\boxed{} \boxed{ }", None),
        ("", None),
        ("I do not know.", None),
        ("answers: 5", None),
        ("The answer is", None),
        ("The answer is .", None),
        (r"\boxed", None),
    ],
)
def test_the_last_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


@given(text=st.text(), answer=st.text(alphabet="abc123+/ ", min_size=1).filter(lambda text: bool(text.strip())))
def test_a_boxed_answer_at_the_end_is_found(text: str, answer: str) -> None:
    assert extract_answer(text + " \n\n" + rf"\boxed{{{answer}}}") == answer.strip()


@pytest.mark.parametrize(
    "unit", ["\\boxed{", "{", "}", "answer is ", "answer", " ", "answer" + " " * 50, "\\", "\\boxed{x}"]
)
def test_hostile_text_costs_no_time(unit: str) -> None:
    begin = time.process_time()
    extract_answer(unit * (200_000 // len(unit)))
    assert time.process_time() - begin < 10


def test_normal_form() -> None:
    assert normalise("  **The  CAT**. ") == normalise("the cat") == "the cat"
    assert normalise("１２") == "12"
    assert normalise("$5$") == "5" and normalise("$5") == "$5"
    assert normalise(" . ") == ""
