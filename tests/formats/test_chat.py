"""The chat formats: what models are shown, with which shared beginnings, and how their text is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat, render_critique
from actorcritic.protocols import ActorFormat
from actorcritic.types import (
    Critique,
    FinishReason,
    Message,
    Problem,
    Solution,
    Step,
)
from tests.formats.chats import CHAT, CRITIQUE, PROBLEM, SOLUTION, U, generation, messages, tokens

actor_format: ActorFormat = ChatActorFormat()


# --- asking the actor ----------------------------------------------------------------------------------------------


def test_propose() -> None:
    (request,) = messages(ChatActorFormat().propose(PROBLEM))
    assert request.role == "user" and request.content.startswith("What is {3} * {{question}}?\n\n")
    assert "\\boxed{}" in request.content
    assert messages(ChatActorFormat(instruct=False).propose(PROBLEM)) == (Message(role="user", content=PROBLEM.text),)


def test_a_chat_stays_a_chat() -> None:
    asked = messages(ChatActorFormat(system="Other").propose(CHAT))
    assert asked[:-1] == CHAT.prompt[:-1]
    assert asked[-1].role == "user" and asked[-1].content.startswith("What is 2 + 3?\n\n")
    assert messages(ChatActorFormat(instruct=False).propose(CHAT)) == CHAT.prompt
    assert messages(ChatActorFormat(system="Other").propose(PROBLEM))[0] == Message(role="system", content="Other")


def test_a_chat_whose_last_word_is_a_tool() -> None:
    problem = Problem(id="t", prompt=CHAT.prompt[:4])
    asked = messages(ChatActorFormat().propose(problem))
    assert [message.role for message in asked] == ["system", "user", "assistant", "tool"]
    assert asked[1].content.startswith("Hello\n\n") and asked[2:] == CHAT.prompt[2:4]
    judged = messages(ChatCriticFormat().ask(problem, SOLUTION))
    assert judged[:-1] == problem.prompt and "Hello" in judged[-1].content
    silent = Problem(id="s", prompt=(Message(role="system", content="Go."),))
    assert messages(ChatActorFormat().propose(silent)) == silent.prompt


@pytest.mark.parametrize(
    ("checker", "prompt", "form"),
    [
        ("exact", "q", "The answer is"),
        (None, "q", "The answer is"),
        ("countdown", "q", "one equation"),
        (None, "Use 7, 13 and 14 to make 15.", "one equation"),
        ("sudoku", "q", "r1c2"),
        ("arithmetic", "q", "3 + 9 = 12"),
        ("reasoning-gym", "q", r"\boxed"),
        ("python-tests", "q", "```python"),
    ],
)
def test_the_form_follows_the_checker(checker: str | None, prompt: str, form: str) -> None:
    problem = Problem(id="p", prompt=prompt, checker=checker, meta={"name": "gcd", "seed": 0, "index": 0})
    assert form in messages(ChatActorFormat().propose(problem))[0].content


def test_an_unknown_checker_is_an_input_error() -> None:
    with pytest.raises(InputError, match="unknown checker"):
        ChatActorFormat().propose(Problem(id="p", prompt="q", checker="nonsense"))


def test_steps_end_where_the_style_says() -> None:
    assert ChatActorFormat().step_stop == ("\n\n",) and ChatActorFormat(style="lines").step_stop == ("\n",)
    assert ChatActorFormat().stop == () and ChatActorFormat(stop=("END",)).stop == ("END",)


def test_extend_goes_on_from_the_steps_so_far() -> None:
    partial = Solution(steps=SOLUTION.steps[:2], complete=False)
    prompt = ChatActorFormat().extend(PROBLEM, partial)
    assert prompt.content == ChatActorFormat().propose(PROBLEM).content
    assert prompt.prefill == partial.raw and prompt.prefill_ids == (5, 6, 7)
    assert ChatActorFormat().extend(PROBLEM, Solution(steps=())) == ChatActorFormat().propose(PROBLEM)


def test_extend_without_prefill_quotes_the_steps_in_the_request() -> None:
    format = ChatActorFormat(prefill=False)
    prompt = format.extend(CHAT, Solution(steps=SOLUTION.steps[:1], complete=False))
    asked = messages(prompt)
    assert prompt.prefill == "" and asked[:-1] == CHAT.prompt[:-1]
    assert asked[-1].content.startswith(messages(format.propose(CHAT))[-1].content)
    assert "```solution\nStep 1: 2 * 3 = 6\n\n\n```" in asked[-1].content
    assert format.extend(CHAT, Solution(steps=())) == format.propose(CHAT)


@pytest.mark.parametrize("revise_from", [0, 1, 2])
def test_revise_shares_the_chat_and_begins_with_the_kept_steps(revise_from: int) -> None:
    prompt = ChatActorFormat().revise(CHAT, SOLUTION, CRITIQUE, revise_from)
    proposed = messages(ChatActorFormat().propose(CHAT))
    asked = messages(prompt)
    assert asked[: len(proposed)] == proposed
    assert asked[len(proposed)] == Message(role="assistant", content=SOLUTION.raw)
    assert asked[-1].role == "user" and len(asked) == len(proposed) + 2
    assert prompt.prefill == "".join(step.raw for step in SOLUTION.steps[:revise_from])
    assert prompt.prefill_ids == ((), (5, 6), (5, 6, 7))[revise_from]
    assert ("6 + 1 is 7." in asked[-1].content) == (revise_from < 2)
    assert ("Fine." in asked[-1].content) == (revise_from == 0)
    assert f"before step {revise_from + 1} stand" in asked[-1].content


def test_revise_without_prefill_quotes_the_kept_steps() -> None:
    prompt = ChatActorFormat(prefill=False).revise(PROBLEM, SOLUTION, CRITIQUE, 1)
    assert prompt.prefill == "" and "```solution\nStep 1: 2 * 3 = 6\n\n\n```" in messages(prompt)[-1].content
    first = ChatActorFormat(prefill=False).revise(PROBLEM, SOLUTION, CRITIQUE, 0)
    assert first == ChatActorFormat().revise(PROBLEM, SOLUTION, CRITIQUE, 0)


def test_refine_shows_solution_and_critique_and_asks_for_all() -> None:
    prompt = ChatActorFormat().refine(PROBLEM, SOLUTION, CRITIQUE)
    asked = messages(prompt)
    assert [message.role for message in asked] == ["user", "assistant", "user"] and prompt.prefill == ""
    assert asked[1].content == SOLUTION.raw
    assert "Fine." in asked[2].content and "6 + 1 is 7." in asked[2].content and "\\boxed{}" in asked[2].content
    assert "{{" not in messages(ChatActorFormat(instruct=False).refine(PROBLEM, SOLUTION, CRITIQUE))[2].content


def test_a_critique_is_quoted_and_nothing_else_of_the_critic_is_shown() -> None:
    request = messages(ChatActorFormat().refine(PROBLEM, SOLUTION, CRITIQUE))[-1].content
    assert "\n````critique\n" in request and request.count("````") == 2
    assert "RAW CRITIC TEXT" not in request and "unseen" not in request
    assert render_critique(SOLUTION, Critique(steps=(), verdict=U, explanation="x")) == "No remarks."


@pytest.mark.parametrize(
    "last",
    [Step(text="b", raw="b", token_ids=(3,), straddles=True), Step(text="b", raw="b", logprobs=(-1.0,))],
)
def test_ids_that_are_no_continuation_are_left_out(last: Step) -> None:
    steps = (Step(text="a", raw="a\n", token_ids=(1,)), last)
    prompt = ChatActorFormat().extend(PROBLEM, Solution(steps=steps))
    assert prompt.prefill == "a\nb" and prompt.prefill_ids == ()
    assert ChatActorFormat().extend(PROBLEM, Solution(steps=steps[:1])).prefill_ids == (1,)


def test_a_reasoning_field_is_no_part_of_the_own_text() -> None:
    thought = Step(text="hm", raw="hm", thinking=True, token_ids=(1,))
    inline = Step(text="hm", raw="<think>hm</think>", thinking=True, token_ids=(2,))
    said = Step(text="a", raw="a", token_ids=(3,))
    assert ChatActorFormat().extend(PROBLEM, Solution(steps=(thought, said))).prefill == "a"
    prompt = ChatActorFormat().extend(PROBLEM, Solution(steps=(inline, said)))
    assert prompt.prefill == "<think>hm</think>a" and prompt.prefill_ids == (2, 3)


# --- reading the actor ---------------------------------------------------------------------------------------------


def test_read_splits_after_the_kept_steps() -> None:
    kept = Solution(steps=SOLUTION.steps[:1], complete=False)
    written = ("Step 2: ", "6 + 1 = 7\n\n", "Step 3: \\boxed", "{7}", "<end>")
    solution = ChatActorFormat().read(PROBLEM, kept, generation("".join(written[:-1]), tokens=tokens(*written)))
    assert [step.text for step in solution.steps] == ["Step 1: 2 * 3 = 6", "Step 2: 6 + 1 = 7", r"Step 3: \boxed{7}"]
    assert [step.token_ids for step in solution.steps] == [(5, 6), (0, 1), (2, 3)]
    assert solution.steps[0] is kept.steps[0] and solution.kept == 1
    assert solution.answer == "7" and solution.complete
    assert solution.logprob == pytest.approx(-3.0 - 5.0)


@pytest.mark.parametrize("finish", list(FinishReason))
def test_only_a_natural_end_completes(finish: FinishReason) -> None:
    solution = ChatActorFormat().read(PROBLEM, None, generation("The answer is 5.", finish=finish))
    assert solution.complete == (finish is FinishReason.STOP)
    assert solution.logprob is None


@given(text=st.text(), reasoning=st.none() | st.text(), prefill=st.booleans(), kept=st.booleans())
def test_read_never_raises_and_loses_nothing(text: str, reasoning: str | None, prefill: bool, kept: bool) -> None:
    before = Solution(steps=SOLUTION.steps[:2], complete=False) if kept else None
    solution = ChatActorFormat(prefill=prefill).read(PROBLEM, before, generation(text, reasoning=reasoning))
    assert solution.raw == (before.raw if before else "") + (reasoning or "") + text
    assert solution.kept == (2 if kept else 0)


def test_the_answer_is_not_taken_from_thinking() -> None:
    solution = ChatActorFormat().read(PROBLEM, None, generation(r"<think>\boxed{1}</think>\boxed{2}"))
    assert solution.answer == "2"
    assert ChatActorFormat().read(PROBLEM, None, generation(r"<think>\boxed{1}")).answer is None
    field = ChatActorFormat().read(PROBLEM, None, generation("so", reasoning=r"\boxed{1}"))
    assert field.answer is None and [step.thinking for step in field.steps] == [True, False]


def test_a_reply_that_repeats_the_kept_steps_counts_them_once() -> None:
    kept = Solution(steps=SOLUTION.steps[:2], complete=False)
    for again in (SOLUTION.raw, "".join(step.raw for step in SOLUTION.steps[1:]), SOLUTION.steps[2].raw):
        solution = ChatActorFormat(prefill=False).read(PROBLEM, kept, generation(again))
        assert [step.text for step in solution.steps] == [step.text for step in SOLUTION.steps]
    assert len(ChatActorFormat().read(PROBLEM, kept, generation(SOLUTION.raw)).steps) == 5


@pytest.mark.parametrize(
    ("text", "steps"), [("a\nb\n\n", 1), ("a\nb", 2), ("Step 1: a\nb\n\n", 1), ("a\n\nb\nc\n\n", 2)]
)
def test_a_text_that_ended_like_a_step_is_one(text: str, steps: int) -> None:
    assert len(ChatActorFormat().read(PROBLEM, None, generation(text)).steps) == steps
    assert len(ChatActorFormat(style="lines").read(PROBLEM, None, generation("a\nb\n\n")).steps) == 2
