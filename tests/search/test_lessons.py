"""Reflections: few, of unlike failures, and shown from the next trial on."""

from __future__ import annotations

from actorcritic.search.lessons import Lessons
from actorcritic.search.policy import LESSONS, MAX_STEPS
from actorcritic.types import Action, Outcome, Trial

TRIAL = Trial(id=9, action=Action.PROPOSE, options={MAX_STEPS: 1})


def failed(answer: str | None) -> Outcome:
    return Outcome(complete=True, vote_key=answer, reward=0.0)


def test_a_failure_is_judged_and_then_shown() -> None:
    lessons = Lessons(3)
    lessons.fail(2, failed("a"), judged=False)
    assert lessons.shown(TRIAL) is TRIAL
    assert (lessons.pop(), lessons.pop()) == (2, None)
    lessons.learn(5)
    assert lessons.shown(TRIAL).options == {MAX_STEPS: 1, LESSONS: [5]}


def test_one_that_a_critic_has_judged_teaches_at_once() -> None:
    lessons = Lessons(3)
    lessons.fail(2, failed("a"), judged=True)
    assert lessons.pop() is None and lessons.shown(TRIAL).options[LESSONS] == [2]


def test_the_same_answer_teaches_once_and_no_answer_every_time() -> None:
    lessons = Lessons(9)
    for trial, answer in enumerate(("a", "b", "a", None, None)):
        lessons.fail(trial, failed(answer), judged=True)
    assert lessons.shown(TRIAL).options[LESSONS] == [0, 1, 3, 4]


def test_there_are_no_more_than_asked_for() -> None:
    lessons = Lessons(2)
    for trial in range(5):
        lessons.fail(trial, failed(str(trial)), judged=True)
    assert lessons.shown(TRIAL).options[LESSONS] == [0, 1]
    none = Lessons(0)
    none.fail(0, failed("a"), judged=True)
    assert none.shown(TRIAL) is TRIAL


def test_the_state_comes_back() -> None:
    lessons, again = Lessons(2), Lessons(2)
    lessons.fail(1, failed("a"), judged=False)
    lessons.fail(2, failed("b"), judged=True)
    again.load(lessons.dump())
    assert again.dump() == lessons.dump()
    again.fail(3, failed("c"), judged=True)
    assert (again.pop(), again.shown(TRIAL).options[LESSONS]) == (1, [2])
