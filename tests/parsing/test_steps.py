"""Steps: nothing is lost, fences stay whole, and each token lies in the step in which it begins."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.parsing.steps import StepStyle, attach_tokens, detect_style, split_steps, token_starts
from actorcritic.types import Step, TokenLogprob

STYLES: tuple[StepStyle, ...] = ("auto", "lines", "numbered", "paragraphs")
FRAGMENTS = [
    "<think>",
    "</think>",
    "<THINKING>",
    "```",
    "~~~~",
    "\n",
    "\n\n",
    " ",
    "Step 1:",
    "2. ",
    "x",
    "\r\n",
    "\x0b",
    "é",
]
texts = st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4))).map("".join))


def read(text: str, style: StepStyle = "auto") -> list[str]:
    return [step.text for step in split_steps(text, style)]


def tokens_of(*parts: str) -> list[TokenLogprob]:
    return [TokenLogprob(token_id=i, text=part, logprob=-float(i)) for i, part in enumerate(parts)]


@given(text=texts, style=st.sampled_from(STYLES), thinking=st.booleans())
def test_joining_the_steps_gives_the_text_back(text: str, style: StepStyle, thinking: bool) -> None:
    steps = split_steps(text, style, thinking=thinking)
    assert "".join(step.raw for step in steps) == text
    assert all(step.raw for step in steps)
    if text.strip() and "think" not in text.lower():
        assert all(step.text for step in steps)


@given(text=texts)
def test_auto_is_the_detected_style(text: str) -> None:
    if "think" not in text.lower():
        assert split_steps(text) == split_steps(text, detect_style(text))


@pytest.mark.parametrize(
    ("text", "style", "steps"),
    [
        ("a\n  b\nc\n", "lines", ["a", "b", "c"]),
        ("1. a\n   more\n2. b\n", "numbered", ["1. a\n   more", "2. b"]),
        (
            "Let us see.\nStep 1: a\n1. x\n2. y\nStep 2: b",
            "numbered",
            ["Let us see.", "Step 1: a\n1. x\n2. y", "Step 2: b"],
        ),
        ("**Step 1:** a\n\n**Step 2:** b", "numbered", ["**Step 1:** a", "**Step 2:** b"]),
        ("### Step 1\na\n### Step 2\nb", "numbered", ["### Step 1\na", "### Step 2\nb"]),
        ("1. a\n   1. x\n   2. y\n2. b", "numbered", ["1. a\n   1. x\n   2. y", "2. b"]),
        ("1. a\n2. b\n\nThe answer is 3.", "numbered", ["1. a", "2. b", "The answer is 3."]),
        ("a\nb\n\nc\n \nd", "paragraphs", ["a\nb", "c", "d"]),
        ("3.5 is a\n4.5 is b", "lines", ["3.5 is a", "4.5 is b"]),
        ("Step 4: only this one\nmore", "numbered", ["Step 4: only this one\nmore"]),
        ("4. only this one\nmore", "lines", ["4. only this one", "more"]),
        ("1. a\n7. b", "lines", ["1. a", "7. b"]),
    ],
)
def test_styles(text: str, style: StepStyle, steps: list[str]) -> None:
    assert detect_style(text) == style
    assert read(text) == read(text, style) == steps


def test_a_chosen_style_wins_over_the_detected_one() -> None:
    assert read("1. a\n\n2. b\nc", "lines") == ["1. a", "2. b", "c"]
    assert read("1. a\n\n2. b\nc", "paragraphs") == ["1. a", "2. b\nc"]
    assert read("Step 4: a\nb", "numbered") == ["Step 4: a\nb"]


@pytest.mark.parametrize(
    "unit", ["\n", " ", "1. a\n", "Step 1: ", "<think>", "</think>\n", "```\n", "\n\nanswer", "*", "Step"]
)
def test_hostile_text_costs_no_time(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    begin = time.process_time()
    steps = attach_tokens(split_steps(text), tokens_of(*([unit, "\ufffd"] * 10_000)))
    assert "".join(step.raw for step in steps) == text
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("style", STYLES)
def test_a_code_fence_is_kept_whole(style: StepStyle) -> None:
    fence = "````python\n1. x\n\n```\n2. y\n\n# Step 3: z\n````"
    steps = split_steps(f"1. a\n\n{fence}\n\n2. b", style)
    assert sum(fence in step.raw for step in steps) == 1


def test_an_unclosed_fence_runs_to_the_end() -> None:
    assert read("a\n```\nb\n\nc", "lines") == ["a", "```\nb\n\nc"]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("<think>a\nb</think>\n\nc\nd", [("a", True), ("b", True), ("c", False), ("d", False)]),
        ("<think>\n1. a\n2. b", [("1. a", True), ("2. b", True)]),
        ("a\nb</think>c", [("a", True), ("b", True), ("c", False)]),
        ("<think>\n\n</think>\n\nc", [("c", False)]),
        ("<Thinking>a</Thinking>b", [("a", True), ("b", False)]),
        ("x\n<think>a</think>y", [("x", False), ("a", True), ("y", False)]),
        ("c\n</think>", [("c", True)]),
    ],
)
def test_thinking_blocks(text: str, steps: list[tuple[str, bool]]) -> None:
    assert [(step.text, step.thinking) for step in split_steps(text)] == steps


def test_a_reasoning_field_is_thinking_throughout() -> None:
    assert [step.thinking for step in split_steps("a\nb", thinking=True)] == [True, True]


def test_blank_text() -> None:
    assert split_steps("") == ()
    assert split_steps(" \n\n") == (Step(text="", raw=" \n\n"),)


@given(
    parts=st.lists(st.one_of(st.sampled_from([*FRAGMENTS, "\nb", "\n\nc"]), st.text(max_size=3))),
    style=st.sampled_from(STYLES),
)
def test_every_token_lies_in_the_step_in_which_it_begins(parts: list[str], style: StepStyle) -> None:
    text = "".join(parts)
    tokens = tokens_of(*parts, "<end>")
    steps = attach_tokens(split_steps(text, style), tokens)
    begin = 0
    for step in steps:
        inside = [i for i, start in enumerate(token_starts(text, tokens)) if begin <= start < begin + len(step.raw)]
        assert list(step.token_ids) == inside
        assert step.logprobs == tuple(-float(i) for i in inside)
        begin += len(step.raw)
    if not any(step.straddles for step in steps):
        pieces = ["".join(parts[i] for i in step.token_ids) for step in steps]
        assert pieces == [step.raw for step in steps]


def test_a_token_over_a_boundary() -> None:
    first, second = attach_tokens(split_steps("a\nb c"), tokens_of("a", "\nb", " c", "<end>"))
    assert first.token_ids == (0, 1) and first.straddles
    assert second.token_ids == (2,) and not second.straddles


def test_a_token_that_swallows_a_step_leaves_it_without_tokens() -> None:
    steps = attach_tokens(split_steps("a\nb\nc"), tokens_of("a\nb\n", "c"))
    assert [step.token_ids for step in steps] == [(0,), (), (1,)]
    assert [step.straddles for step in steps] == [True, False, False]


def test_missing_ids_leave_the_logprobs() -> None:
    tokens = [TokenLogprob(token_id=None, text=part, logprob=-1.0) for part in ("a", "\n", "b")]
    first, second = attach_tokens(split_steps("a\nb"), tokens)
    assert (first.token_ids, first.logprobs) == ((), (-1.0, -1.0))
    assert (second.token_ids, second.logprobs) == ((), (-1.0,))
    assert attach_tokens(split_steps("a"), []) == split_steps("a")


def test_characters_in_several_tokens_do_not_shift_the_rest() -> None:
    text = "5 é 6\nb"
    starts = token_starts(text, tokens_of("5", " ", "\ufffd", "\ufffd", " 6", "\n", "b"))
    assert starts == (0, 1, 2, 2, 3, 5, 6)


def test_tokens_of_a_reasoning_field_begin_before_the_text() -> None:
    tokens = tokens_of("<think>", "a", "</think>", "b", "\n", "c", "<end>")
    assert token_starts("b\nc", tokens)[:4] == (-16, -9, -8, 0)
    assert [step.token_ids for step in attach_tokens(split_steps("b\nc"), tokens)] == [(3, 4), (5,)]
