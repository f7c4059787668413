"""The last word on an attempt, whoever says it."""

from __future__ import annotations

import pytest

from actorcritic.errors import RecordError
from actorcritic.export.feedback import Feedback, feedback_of
from actorcritic.trajectory.attempts import Derived
from actorcritic.types import JsonValue
from tests.export.log import RIGHT, UNSCORED, WRONG, attempt, episode, said, solved


def told(trial: int = 0, **payload: JsonValue) -> Derived:
    return Derived(step="feedback", trial=trial, payload={"by": "tests", "seconds": 1.5, **payload})


def test_the_environment_is_heard_last() -> None:
    one = attempt(0, solved("1"))
    events = (told(passed=True, messages=[]), told(passed=False, messages=[" Traceback ", " "]), told(1, passed=True))
    found = feedback_of(episode(one, derived=events), one, "feedback")
    assert found == Feedback(passed=False, messages=("Traceback",))


def test_what_passed_has_no_complaints() -> None:
    one = attempt(0, solved("1"))
    found = feedback_of(episode(one, derived=(told(passed=True, messages=["1 passed"]),)), one, "feedback")
    assert found == Feedback(passed=True)


@pytest.mark.parametrize(
    ("critique", "found"),
    [
        (said(RIGHT, "Good.", (RIGHT,)), Feedback(passed=True)),
        (said(WRONG, "Bad.", (RIGHT, WRONG)), Feedback(passed=False, messages=("Step 1: incorrect.",))),
        (said(WRONG, "Bad as a whole."), Feedback(passed=False, messages=("Bad as a whole.",))),
        (said(UNSCORED, "Hm."), None),
        (None, None),
    ],
)
def test_a_critic_complains_of_steps_or_of_the_whole(critique: object, found: Feedback | None) -> None:
    one = attempt(0, solved("1", "2"), critique=critique)
    assert feedback_of(episode(one), one, "critique") == found
    assert feedback_of(episode(one), one, "none") is None


def test_an_event_of_another_shape_is_refused() -> None:
    one = attempt(0, solved("1"))
    with pytest.raises(RecordError, match="not a Feedback"):
        feedback_of(episode(one, derived=(told(messages=[]),)), one, "feedback")
