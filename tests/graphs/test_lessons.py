"""Lessons before a problem: after its last user message, quoted, and only those that a trial names."""

from __future__ import annotations

from actorcritic.graphs.lessons import with_lessons
from actorcritic.graphs.trial import Attempt
from actorcritic.search.policy import LESSONS
from actorcritic.types import Action, Critique, Message, Problem, Solution, Step, Trial, Verdict

TEXT = Problem(id="p", prompt="Open the chest.")
CHAT = Problem(
    id="c",
    prompt=(
        Message(role="system", content="You play."),
        Message(role="user", content="Open the chest."),
        Message(role="assistant", content="Action:"),
    ),
)
ATTEMPTS = {
    3: Attempt(
        solution=Solution(steps=(Step(text="go east"),)),
        critique=Critique(steps=(), verdict=Verdict.INCORRECT, explanation="no key ```"),
    ),
    4: Attempt(solution=Solution(steps=(Step(text="wait"),))),
}


def trial(*lessons: int) -> Trial:
    return Trial(id=5, action=Action.PROPOSE, options={LESSONS: list(lessons)} if lessons else {})


def test_without_lessons_nothing_changes() -> None:
    assert with_lessons(TEXT, trial(), ATTEMPTS) is TEXT
    assert with_lessons(TEXT, trial(17), ATTEMPTS) is TEXT, "a judging trial that failed taught nothing"


def test_lessons_stand_after_the_question_between_fences() -> None:
    told = with_lessons(TEXT, trial(3, 4), ATTEMPTS).prompt
    assert isinstance(told, str) and told.startswith("Open the chest.\n")
    assert "```attempt\ngo east\n```" in told and "````critique" in told and "no key ```" in told
    assert "Attempt 2:\n```attempt\nwait\n```" in told and "No remarks." in told


def test_in_a_chat_the_last_user_message_is_told() -> None:
    told = with_lessons(CHAT, trial(3), ATTEMPTS).prompt
    assert not isinstance(told, str) and not isinstance(CHAT.prompt, str)
    assert [message.role for message in told] == ["system", "user", "assistant"]
    assert "go east" in told[1].content and (told[0], told[2]) == (CHAT.prompt[0], CHAT.prompt[2])


def test_a_chat_without_a_question_is_left_alone() -> None:
    silent = Problem(id="s", prompt=(Message(role="system", content="You play."),))
    assert with_lessons(silent, trial(3), ATTEMPTS) is silent
