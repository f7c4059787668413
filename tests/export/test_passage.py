"""What leads through a held-out problem is in no row, whoever wrote it and whatever the recipe makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.codec import encode
from actorcritic.export.exclusion import PASSES, heldout_state
from actorcritic.export.passage import TOO_MANY, equations_in, heldout_passage
from actorcritic.export.pipeline import Order, export_episodes
from actorcritic.export.recipe import Row
from actorcritic.export.recipes import RECIPES
from actorcritic.export.wordings import EmbeddedWording
from actorcritic.tasks import arithmetic, countdown
from actorcritic.tasks.heldout import split_of
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.trajectory.provenance import ModelOrigin, Provenance
from actorcritic.types import Critique, JsonValue, Problem, Reference, Solution
from tests.export.log import RIGHT, WRONG, Words, attempt, exported, rows_of, said, setting_of, solved

PROBLEM = Problem(id="p", prompt="Use 3, 21, 22 and 24 to make 96.", checker="countdown")
PASSING = ("21 - 3 = 18", "22 - 18 = 4", "24 * 4 = 96")
"""Leads through `countdown:18,22,24->96`, a development problem."""
CLEAN = ("22 - 21 = 1", "3 + 1 = 4", "24 * 4 = 96")
FAILED = ("22 - 21 = 1", "24 * 1 = 24", "24 + 3 = 27")
"""Goes wrong in its second step, through no held-out problem."""
FIRST = Solution(steps=solved(CLEAN[0], "24 - 3 = 21", "21 * 1 = 21").steps, answer="21")
DEV = PASSES.format("dev")


def whole(steps: Sequence[str]) -> Solution:
    return solved(*steps, answer=" ".join(steps))


def test_the_problem_is_what_the_tests_take_it_for() -> None:
    assert heldout_state(PROBLEM, whole(PASSING)) == "dev"
    assert heldout_state(PROBLEM, whole(CLEAN)) is heldout_state(PROBLEM, whole(FAILED)) is None


# --- every recipe that takes more than a row's own attempts ---------------------------------------------------------

WRONG_ONE: Critique = said(WRONG, "The second step is of no use.", (RIGHT, WRONG, WRONG), 0.1)
Events = Sequence[tuple[str, dict[str, JsonValue]]]


def _solution(steps: Sequence[str]) -> JsonValue:
    return encode(whole(steps))


def _refined(steps: Sequence[str]) -> Events:
    lot: list[JsonValue] = [{"solution": _solution(steps), "correct": True, "incorporates": [0.9]}]
    return [("refine", {"critic": "c", "critique": encode(WRONG_ONE), "actor": "a", "refinements": lot})]


def _reflected(steps: Sequence[str], *, flawed: Sequence[str] = FAILED) -> Events:
    made: dict[str, JsonValue] = {"by": "t", "strategy": "fresh-restart", "error_type": "operator", "correct": True}
    text = "Wait, that leads nowhere. " + ". ".join(steps) + "."
    return [
        (
            "reflect",
            {**made, "source": "natural", "flawed": _solution(flawed), "first_bad_step": 1, "continuation": text},
        )
    ]


def _talked(steps: Sequence[str]) -> Events:
    chain: list[JsonValue] = [
        {"text": text, "verdict": "correct", "critique": None, "index": index} for index, text in enumerate(steps)
    ]
    text = f"First {steps[0]}, which is right. Then **{steps[1]}**. So ${steps[2]}$."
    return [("self-talk", {"by": "t", "chain": chain, "text": text, "correct": True})]


def _paraphrased(steps: Sequence[str]) -> Events:
    return [("paraphrase", {"model": "m", "solution": _solution(steps), "correct": True, "equivalent": True})]


def _resimulated(steps: Sequence[str]) -> Events:
    rollout: JsonValue = {"solution": _solution(steps), "correct": True}
    states: list[JsonValue] = [{"at": 0, "faithful": True, "rollouts": [rollout]}]
    return [("resimulate", {"student": "s", "every": 1, "states": states})]


def _rectified(steps: Sequence[str]) -> Events:
    sure: dict[str, JsonValue] = {"by": "m", "samples": 5, "observed": 0.9, "reflected": 1.0}
    better: dict[str, JsonValue] = {"by": "m", "model": "m", "solution": _solution(steps), "better": [0.9, 0.95]}
    return [("confidence", sure), ("rectify", better)]


def _flawed(steps: Sequence[str]) -> Events:
    """The flawed solution takes the first step, and none of the others."""
    critique = said(WRONG, "No.", (RIGHT, WRONG), 0.1)
    made: dict[str, JsonValue] = {"by": "t", "source": "location", "critique": encode(critique), "actor": "a"}
    counts: dict[str, JsonValue] = {"first_bad_step": 1, "refined": 4, "successes": 4}
    return [("flawed-critique", {**made, **counts, "solution": _solution((steps[0], "24 + 24 = 48"))})]


def _rationalised(steps: Sequence[str]) -> Events:
    return [("rationalise", {"solution": _solution(steps), "correct": True})]


COLLECTED = {
    "rft:sources=all": _refined,
    "rft:sources=all,cap=9": _rationalised,
    "ilf": _refined,
    "ilf:form=preference": _refined,
    "cct": _refined,
    "lemma": _reflected,
    "lemma:form=tokens": _reflected,
    "self-talk": _talked,
    "s3ft": _paraphrased,
    "eef": _resimulated,
    "eef:form=turns": _resimulated,
    "clear:stage=correct,gamma=0": _rectified,
    "critique-grpo:form=logged": _refined,
    "critic-sft": _flawed,
    "self-improve": _refined,
    "self-improve:form=refinement": _refined,
}


def episode_of(events: Events) -> Episode:
    """Return a problem with one wrong attempt, which passes through nothing, and what was collected of it."""
    return Episode(
        run="r",
        problem=PROBLEM,
        gold=Reference(),
        attempts=(attempt(0, whole(FAILED), correct=False),),
        stopped_by="completed",
        provenance=Provenance(models=(ModelOrigin(role="actor", name="m", model="m"),)),
        derived=tuple(Derived(step=step, trial=0, payload=payload) for step, payload in events),
    )


@pytest.mark.parametrize("text", COLLECTED)
def test_what_was_collected_is_held_to_the_rule_as_attempts_are(text: str) -> None:
    clean, passing = (exported(text, episode_of(COLLECTED[text](s)), tokenizer=Words()) for s in (CLEAN, PASSING))
    mine = len([row for row in rows_of(passing)])
    assert clean.total > mine, clean.drops
    assert DEV not in clean.drops and passing.drops[DEV] >= 1
    for row in rows_of(passing):
        assert PASSING[0] not in str(row)


def test_recipes_that_read_collected_texts_are_all_tried() -> None:
    """A new recipe with events of its own either shows up here or says below why nothing of them can pass through."""
    numbers_and_verdicts = {"agent-q", "on-policy-dpo", "itool", "prm", "deepcritic", "faft", "leti"}
    critiques = {"cft", "marv", "multicritique", "refcritic", "morepair", "crl", "critique-rl"}
    reading = {name for name, recipe in RECIPES.items() if any("--step" in need.collect for need in recipe.needs)}
    tried = {text.partition(":")[0] for text in COLLECTED}
    assert reading - tried <= numbers_and_verdicts | critiques | {"kto", "mistakes", "score"}


# --- any row at all -------------------------------------------------------------------------------------------------


def rows_through(columns: Mapping[str, JsonValue], asked: str | None = None, taught: str | None = None) -> int:
    row = Row(columns={**columns}, attempts=(0,), asked=asked, taught=taught)
    recipe, setting = setting_of("rft")
    order = Order(recipe=replace(recipe, rows=lambda episode, setting: (row,), needs=()), setting=setting)
    return export_episodes([episode_of([])], order).total


@pytest.mark.parametrize("steps", [CLEAN, PASSING])
def test_wherever_it_stands_in_a_row(steps: Sequence[str]) -> None:
    text, good = "\n\n".join(steps), "\n\n".join(CLEAN)
    asked: JsonValue = [{"role": "user", "content": PROBLEM.text}]
    answer: JsonValue = [{"role": "assistant", "content": text}]
    begun: JsonValue = [{"role": "user", "content": PROBLEM.text}, {"role": "assistant", "content": steps[0]}]
    expected = int(steps is CLEAN)
    assert rows_through({"prompt": asked, "completion": answer}) == expected
    assert rows_through({"prompt": asked, "chosen": good, "rejected": text}) == expected
    assert rows_through({"prompt": begun, "completion": steps[1]}) == expected, "the prompt begins the way"
    assert rows_through({"prompt": PROBLEM.text, "completions": list(steps), "labels": [1.0, 1.0, 1.0]}) == expected
    assert rows_through({"messages": [{"role": "user", "content": PROBLEM.text}, *answer]}) == expected  # type: ignore[misc]
    assert rows_through({"input_ids": [1, 2], "labels": [1, 2]}, asked=PROBLEM.text, taught=text) == expected


def test_a_row_of_tokens_must_say_what_it_teaches() -> None:
    with pytest.raises(TypeError, match="tokens without the text"):
        rows_through({"input_ids": [1, 2], "labels": [1, 2]})


@pytest.mark.parametrize(
    "text",
    [
        "21 - 3 = 18",
        "Step 1: 21-3=18.",
        "* 21 - 3 = 18 (left: 18, 22, 24)",
        "1. **21 − 3 = 18**",
        r"We have \(21 - 3 = \boxed{18}\).",
        "First 24 / 3 = 8. No: 21 - 3 = 18.",
        "22 - 21 = 1\n3 + 1 = 4\n24 * 4 = 96\n\nOr begin with 21 - 3 = 18.",
    ],
)
def test_in_whatever_words(text: str) -> None:
    assert heldout_passage(PROBLEM, Row(columns={"text": text}, attempts=(0,))) in ("dev", "test")


def test_signs_as_models_write_them() -> None:
    text = r"3 × 4 = 12, $12 \div 4 = 3$, \frac{14}{7} = 2, 5 \times 5 = 25, 1.5 * 2 = 3, 7 / 2 = 3.5, 2 - 3 4"
    assert equations_in(text) == ["3 * 4 = 12", "12 / 4 = 3", "14 / 7 = 2", "5 * 5 = 25"]


def test_the_pairs_own_lines_are_read() -> None:
    pair = EmbeddedWording()
    for steps, split in ((PASSING, "dev"), (CLEAN, None)):
        columns = {"prompt": pair.ask(PROBLEM), "completion": pair.answer(PROBLEM, whole(steps))}
        assert heldout_passage(PROBLEM, Row(columns=columns, attempts=(0,))) == split
    judged = {"prompt": pair.judge(PROBLEM, whole(PASSING)), "completion": "ok\nok\nok\n"}
    assert heldout_passage(PROBLEM, Row(columns=judged, attempts=(0,))) == "dev"


def test_what_is_said_of_a_solution_step_by_step_is_no_other_way() -> None:
    """A critique names the first two steps, twice each, and stops; the second by itself leads to a held-out problem."""
    problem = Problem(id="p", prompt="Use 3, 7, 14 and 20 to make 48.", checker="countdown")
    steps = ("20 + 3 = 23", "14 / 7 = 2", "23 * 2 = 46")
    assert heldout_state(problem, whole(steps)) is None and split_of("countdown:2,3,20->48") != "train"
    critique = "\n\n".join(f"The step {text}: after {text} the target is out of reach." for text in steps[:2])
    row = Row(columns={"prompt": "\n\n".join(steps), "completion": critique}, attempts=(0,))
    assert heldout_passage(problem, row) is None
    alone = Row(columns={"prompt": problem.text, "completion": critique}, attempts=(0,))
    assert heldout_passage(problem, alone) is not None, "nothing says in which order"


def test_the_example_in_the_form_of_answers_is_no_step() -> None:
    """The form says "such as `14 / 7 = 2`", and 14 and 7 are among these numbers."""
    assert split_of("countdown:2,3,20->50") != "train"
    problem = Problem(id="p", prompt="Use 3, 7, 14 and 20 to make 50.", checker="countdown")
    prompt = setting_of("rft", plain=False)[1].prompt(problem)
    assert "14 / 7 = 2" in str(prompt)
    assert heldout_passage(problem, Row(columns={"prompt": prompt, "completion": ""}, attempts=(0,))) is None
    own = Row(columns={"prompt": prompt, "completion": "14 / 7 = 2"}, attempts=(0,))
    assert heldout_passage(problem, own) is not None


def test_a_problem_of_no_such_family_has_no_way() -> None:
    text = "\n".join(PASSING)
    for prompt in ("Use your head.", "Use 7, 13 and 14 to make 11."):
        row = Row(columns={"text": text}, attempts=(0,))
        assert heldout_passage(replace(PROBLEM, prompt=prompt), row) is None


# --- properties -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.sampled_from(["countdown", "arithmetic"]), st.randoms(use_true_random=False))
def test_one_solution_is_judged_as_its_steps_are(seed: int, family: str, random: object) -> None:
    """Of one whole solution the text says neither more nor less than its steps."""
    steps: tuple[str, ...] | None
    if family == "countdown":
        puzzle = next(countdown.generate("train", seed, 4))
        steps, text = countdown.solve(puzzle, random), puzzle.render()  # type: ignore[arg-type]
    else:
        expression = next(arithmetic.generate("train", seed))
        steps, text = arithmetic.solve(expression), expression.render()
    assert steps is not None
    problem = Problem(id="p", prompt=text)
    row = Row(columns={"prompt": text, "completion": "\n\n".join(steps)}, attempts=(0,))
    assert heldout_passage(problem, row) == heldout_state(problem, whole(steps))


@given(st.integers(0, 40), st.integers(0, 3))
def test_nothing_beside_it_hides_a_passage(seed: int, place: int) -> None:
    """A text that holds a passing solution is found out, whatever other solution stands before or after it."""
    puzzle = next(countdown.generate("train", seed, 4))
    state = tuple(sorted(puzzle.numbers))
    passing = [
        m for m in countdown.moves(state) if countdown.state_split(countdown.after(state, m), puzzle.target) != "train"
    ]
    if not passing:
        return
    step = passing[place % len(passing)].render()
    other = "\n".join(countdown.solve(puzzle) or ())
    problem = Problem(id="p", prompt=puzzle.render())
    for text in (f"{other}\n{step}", f"{step}\n{other}"):
        assert heldout_passage(problem, Row(columns={"text": text}, attempts=(0,))) is not None


def test_a_text_that_cannot_be_followed_is_left_out() -> None:
    text = "\n".join(f"3 + 21 = {n}" for n in range(1000))
    assert heldout_passage(PROBLEM, Row(columns={"text": text}, attempts=(0,))) == TOO_MANY
    expression = next(arithmetic.generate("train", 1))
    steps = [re.sub(r"= .*", f"= {n}", step) for step in arithmetic.solve(expression) for n in range(20)]
    row = Row(columns={"text": "\n".join(steps)}, attempts=(0,))
    assert heldout_passage(Problem(id="p", prompt=expression.render()), row) is not None
