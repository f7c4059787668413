"""Rows of exports: what they say, in both wordings, and how completions are read against them."""

from __future__ import annotations

import pytest

from actorcritic.training.rl.rows import Row, said
from actorcritic.types import Verdict

PROBLEM = "Use 7, 13 and 14 to make 15."
CHAT = [{"role": "user", "content": f"{PROBLEM}\nWrite steps."}]
COLUMNS = {"problem": PROBLEM, "answer": "", "checker": "countdown", "correction": "Look again."}
WRITTEN = "14 / 7 2 13 =15\n13 + 2 15"
"""As the embedded actor writes, the blank at its end taken off."""
READABLE = "14 / 7 = 2\n13 + 2 = 15"


@pytest.mark.parametrize(
    ("prompt", "attempt"), [(CHAT, WRITTEN), (CHAT, READABLE), ("judge\n", READABLE)], ids=["log", "chat", "pair"]
)
def test_an_attempt_is_read_by_how_it_is_written(prompt: object, attempt: str) -> None:
    row = Row({**COLUMNS, "prompt": prompt, "attempt": attempt})
    assert [step.text for step in row.attempt.steps] == ["14 / 7 = 2", "13 + 2 = 15"]
    assert row.attempt.complete


def test_an_attempt_of_other_problems_is_read_as_a_chat_model_writes() -> None:
    row = Row({**COLUMNS, "problem": "How many?", "checker": "math", "prompt": CHAT, "attempt": "1. 3 cell\n2. So 4"})
    assert [step.text for step in row.attempt.steps] == ["1. 3 cell", "2. So 4"]


def test_a_critique_in_the_words_of_the_pair() -> None:
    row = Row({**COLUMNS, "prompt": "judge\n", "attempt": READABLE})
    wrong = row.read_critique("ok\nbad-result\n", complete=True)
    assert (wrong.verdict, wrong.first_error) == (Verdict.INCORRECT, 1)
    assert row.read_critique("ok\nok\n", complete=True).verdict is Verdict.CORRECT
    assert row.read_critique("ok\n", complete=True).verdict is Verdict.UNSCORED
    assert row.read_critique("ok\n14 \n", complete=True).verdict is Verdict.UNSCORED


def test_a_critique_as_text() -> None:
    row = Row({**COLUMNS, "prompt": CHAT, "attempt": READABLE})
    text = (
        "Step 1\nStep sentence: 14 / 7 = 2\nCorrectness of the step: Correct\n\n"
        "Step 2\nStep sentence: 13 + 2 = 15\nCorrectness of the step: Correct\n\n"
        "Correctness of the final answer: Correct\n"
    )
    assert row.read_critique(text, complete=True).verdict is Verdict.CORRECT
    assert row.read_critique(text, complete=False).verdict is Verdict.UNSCORED
    assert row.read_critique("It is correct.", complete=True).verdict is Verdict.UNSCORED


def test_a_solution_in_both_wordings() -> None:
    pair = Row({**COLUMNS, "prompt": "numbers 7 13 14 =15\n"})
    assert pair.read_solution("14 / 7 2 13 =15\n13 + 2 15 ", complete=True).answer == "13 + 2 = 15"
    assert not pair.read_solution("14 / 7 2 13 =15\n13 + 2 15 ", complete=False).complete
    chat = Row({**COLUMNS, "prompt": CHAT})
    assert [step.text for step in chat.read_solution(READABLE, complete=True).steps] == READABLE.split("\n")


def test_the_question_stays_and_so_does_its_problem() -> None:
    chat, pair = Row({**COLUMNS, "prompt": CHAT}), Row({**COLUMNS, "prompt": "numbers 7 13 14 =15\n"})
    assert chat.asked.text == CHAT[0]["content"]
    assert chat.problem.text == pair.problem.text == pair.asked.text == PROBLEM
    assert pair.prompt.content == "numbers 7 13 14 =15\n"
    assert (chat.correction, pair.correction) == ("Look again.", "numbers 7 13 14 =15\n")
    assert chat.reference.answer is None
    assert Row({**COLUMNS, "answer": "15", "prompt": CHAT}).reference.answer == "15"


def test_a_completion_is_text_or_a_chat_of_one() -> None:
    assert said("ok\n") == said([{"role": "assistant", "content": "ok\n"}]) == "ok\n"
    assert said([{"role": "assistant", "content": None}]) == ""
