"""LEMMA: the flawed head word for word, a transition right after the bad step, a right end, and no word of any help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.codec import encode
from actorcritic.errors import RecordError
from actorcritic.export.recipes.lemma import TRANSITIONS, begins_with_transition
from actorcritic.trajectory.attempts import Derived, EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Solution, Step
from tests.export.log import Words, attempt, content, episode, exported, rows_of, solved

STEPS = ("7 sevens are 49.", "6 sevens are 49 - 6 = 43.", "So it is 43.", "The answer is 43.")
FLAWED = solved(*STEPS, answer="43")
END = "Wait, one seven is to go, not a six. 49 - 7 = 42. The answer is 42."


def reflected(flawed: Solution = FLAWED, /, **more: JsonValue) -> Derived:
    payload: dict[str, JsonValue] = {
        "by": "teacher",
        "source": "natural",
        "strategy": "fix-continue",
        "error_type": "calculation",
        "flawed": encode(flawed),
        "first_bad_step": 1,
        "continuation": END,
        "correct": True,
        **more,
    }
    return Derived(step="reflect", trial=0, payload=payload)


def wrong_one(*derived: Derived, also: tuple[EpisodeAttempt, ...] = ()) -> Episode:
    return episode(attempt(0, FLAWED, correct=False), *also, derived=derived)


def right_one(*derived: Derived, failed: bool = True) -> Episode:
    """Return a problem with a right attempt, into which errors were put; `failed`: and with a wrong one."""
    also = (attempt(1, solved("43", answer="43"), correct=False),) if failed else ()
    return episode(attempt(0, solved("6 * 7 = 42", answer="42"), correct=True), *also, derived=derived)


def test_acceptance() -> None:
    """Section 6: of four steps with the second bad, the first two stand verbatim, then a transition, then the gold."""
    (row,) = rows_of(exported("lemma", wrong_one(reflected())))
    text = content(row["completion"])
    head = f"{STEPS[0]}\n{STEPS[1]}\n"
    assert text.startswith(head) and begins_with_transition(text.removeprefix(head))
    assert STEPS[2] not in text and text.endswith("The answer is 42.")
    assert (row["strategy"], row["source"], row["error_type"]) == ("fix-continue", "natural", "calculation")
    assert row["bad_step"] == 1 and content(row["prompt"]) == "What is six times seven?"


def test_an_error_that_changes_nothing_is_dropped() -> None:
    harmless = solved("6 * 7 is 42, roughly", answer="42")
    export = exported("lemma", right_one(reflected(harmless, source="injected", first_bad_step=0)))
    assert export.drops == {"flawed solution has the gold answer": 1}


@pytest.mark.parametrize(
    "continuation",
    [
        "Wait, the previous attempt is wrong. The answer is 42.",
        "Wait, the ground-truth says otherwise. The answer is 42.",
        "Hmm, as you pointed out, it is less. The answer is 42.",
    ],
)
def test_phrases_that_leak_are_banned(continuation: str) -> None:
    export = exported("lemma", wrong_one(reflected(continuation=continuation)))
    assert export.drops == {"speaks of help that the prompt does not hold": 1}


def test_a_transition_is_added_where_there_is_none_and_drawn_from_the_seed() -> None:
    made = wrong_one(reflected(strategy="fresh-restart", continuation="Three times 14 is 42. The answer is 42."))
    found: set[str] = set()
    for seed in range(30):
        (row,) = rows_of(exported("lemma", made, seed=seed))
        added = content(row["completion"]).removeprefix(f"{STEPS[0]}\n{STEPS[1]}\n")
        transition = added.removesuffix(" Three times 14 is 42. The answer is 42.")
        assert transition in TRANSITIONS
        found.add(transition)
    assert len(found) > 4


@pytest.mark.parametrize("phrase", TRANSITIONS)
def test_a_transition_is_known_as_one(phrase: str) -> None:
    assert begins_with_transition(f"\n{phrase} And so on.")
    assert not begins_with_transition(f"So it is 43. {phrase}")


def test_a_bad_step_in_the_middle_of_a_line_stays_there() -> None:
    steps = tuple(Step(text=text.strip(), raw=text) for text in ("\n7 sevens are 49. ", "Less 6 is 43. ", "So 43."))
    flawed = Solution(steps=steps, answer="43")
    made = episode(attempt(0, flawed, correct=False), derived=(reflected(flawed),))
    (row,) = rows_of(exported("lemma", made))
    assert content(row["completion"]) == f"7 sevens are 49. Less 6 is 43. {END}"


@pytest.mark.parametrize(("injected", "failed", "rows"), [("failed", False, 0), ("failed", True, 1), ("all", False, 1)])
def test_errors_are_put_where_the_model_fails(injected: str, failed: bool, rows: int) -> None:
    made = right_one(reflected(source="injected"), failed=failed)
    export = exported(f"lemma:injected={injected}", made)
    assert export.total == rows
    assert export.drops == ({} if rows else {"error put into a question that is never failed": 1})


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"continuation": "Wait. The answer is 41."}, "does not end with the gold answer"),
        ({"continuation": "Wait, it is 42.", "correct": False}, "does not end with the gold answer"),
        ({"first_bad_step": 4}, "first bad step out of range"),
        ({"first_bad_step": -1}, "first bad step out of range"),
        ({"error_type": "bad mood"}, "unknown kind of error"),
        ({"continuation": "  "}, "no continuation"),
    ],
)
def test_what_cannot_be_trusted(more: dict[str, JsonValue], reason: str) -> None:
    export = exported("lemma", wrong_one(reflected(**more)))
    assert export.total == 0 and export.drops == {reason: 1}


def test_the_log_says_what_was_wrong_not_the_event() -> None:
    """A natural error is the model's own: what the event calls so is passed over."""
    (row,) = rows_of(exported("lemma", wrong_one(reflected(solved("invented", "invented too", answer="1")))))
    assert content(row["completion"]).startswith(STEPS[0])
    right = attempt(0, solved("6 * 7 = 42", "x", answer="42"), correct=True)
    assert exported("lemma", episode(right, derived=(reflected(),))).drops == {"flawed solution has the gold answer": 1}


@pytest.mark.parametrize(
    ("checker", "first", "drops"),
    [
        ("countdown", "2 * 5 = 11", {}),
        ("countdown", "2 * 5 = 10", {"flawed solution has the gold answer": 1}),
        ("exact", "2 * 5 = 11", {"flawed solution cannot be checked": 1}),
    ],
)
def test_where_there_is_no_gold_answer_rules_decide(checker: str, first: str, drops: dict[str, int]) -> None:
    text = "Use 2, 5 and 9 to make 19."
    right = attempt(0, solved("2 * 5 = 10", "10 + 9 = 19"), correct=True)
    wrong = attempt(1, solved("2 + 5 = 7"), correct=False)
    flawed = solved(first, "10 + 9 = 19")
    made = reflected(flawed, source="injected", first_bad_step=0, continuation="Wait, 2 * 5 = 10.\n10 + 9 = 19")
    export = exported("lemma", episode(right, wrong, text=text, gold=None, checker=checker, derived=(made,)))
    assert export.drops == drops and export.total == (not drops)


def test_one_text_stands_once_and_events_of_no_attempt_are_left_out() -> None:
    nowhere = replace(reflected(), trial=None)
    export = exported("lemma", wrong_one(reflected(), reflected(), nowhere))
    assert export.total == 1 and export.drops == {"of no attempt": 1, "same as another row of its problem": 1}


def test_the_bad_step_may_be_left_out_of_the_loss() -> None:
    tokenizer = Words()
    (masked,) = rows_of(exported("lemma:form=tokens", wrong_one(reflected()), tokenizer=tokenizer))
    (learnt,) = rows_of(exported("lemma:form=tokens,error=learnt", wrong_one(reflected()), tokenizer=tokenizer))
    words = {number: word for word, number in tokenizer.ids.items()}
    read, live, all_live = (_words(value, words) for value in (masked["input_ids"], masked["labels"], learnt["labels"]))
    asked = "<user> What is six times seven? <end> <assistant>".split()
    answer = f"{STEPS[0]} {STEPS[1]} {END} <end>".split()
    assert read == [*asked, *answer] and all_live == ["_"] * len(asked) + answer
    bad = STEPS[1].split()
    assert live == ["_"] * len(asked) + STEPS[0].split() + ["_"] * len(bad) + f"{END} <end>".split()


def _words(ids: object, words: dict[int, str]) -> list[str]:
    assert isinstance(ids, list)
    return [words.get(number, "_") for number in ids]


def test_an_event_of_another_shape_is_refused() -> None:
    with pytest.raises(RecordError, match="'by hand' is none of natural, injected"):
        exported("lemma", wrong_one(reflected(source="by hand")))
