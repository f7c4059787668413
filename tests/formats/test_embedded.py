"""The pair's text format: lossless for the models, as published for people, and never a pass for what is malformed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.formats import embedded, lines
from actorcritic.formats.embedded import EmbeddedActorFormat, EmbeddedCriticFormat
from actorcritic.tasks import sudoku
from actorcritic.types import (
    Critique,
    FinishReason,
    Generation,
    Problem,
    Solution,
    Step,
    StepCritique,
    TokenLogprob,
    Usage,
    Verdict,
)

ACTOR, CRITIC = EmbeddedActorFormat(), EmbeddedCriticFormat()
COUNTDOWN = Problem(id="c", prompt="Use 14, 7 and 13 to make 15.")
SUDOKU_PUZZLE = next(sudoku.generate("train", 1))
SUDOKU = Problem(id="s", prompt=SUDOKU_PUZZLE.render())
ARITHMETIC = Problem(id="a", prompt="Work out (19 - ((3 + 9) - 4)) + 16")
FOREIGN = Problem(id="f", prompt="What is 2 + 2?")


def solution(*steps: str, complete: bool = True) -> Solution:
    return Solution(steps=tuple(Step(text=text) for text in steps), complete=complete)


RIGHT = solution("14 / 7 = 2", "2 + 13 = 15")


def generation(text: str, tokens: tuple[TokenLogprob, ...] = (), *, stop: bool = True) -> Generation:
    reason = FinishReason.STOP if stop else FinishReason.LENGTH
    return Generation(text=text, finish_reason=reason, usage=Usage(), tokens=tokens)


def said(word: str, ok: float) -> TokenLogprob:
    """A verdict token; `ok` is the probability of `ok` beside it."""
    own = ok if word == "ok" else 1 - ok
    rivals = {"ok\n": math.log(max(ok, 1e-9)), f"{word}\n": math.log(max(own, 1e-9))}
    return TokenLogprob(token_id=None, text=f"{word}\n", logprob=math.log(max(own, 1e-9)), top=rivals)


def wrong(index: int, count: int, explanation: str) -> Critique:
    steps = [StepCritique(verdict=Verdict.CORRECT)] * count
    steps[index] = StepCritique(verdict=Verdict.INCORRECT, explanation=explanation)
    return Critique(steps=tuple(steps), verdict=Verdict.INCORRECT)


def tokens_of(text: str) -> list[str]:
    """Cut at every blank, which stays with its word."""
    return [word for word in text.replace(" ", " \0").replace("\n", "\n\0").split("\0") if word]


def test_what_the_actor_reads() -> None:
    assert ACTOR.propose(COUNTDOWN).content == "numbers 7 13 14 =15\n"
    prompt = ACTOR.extend(COUNTDOWN, solution("14 / 7 = 2", complete=False))
    assert (prompt.content, prompt.prefill) == ("numbers 7 13 14 =15\n", "14 / 7 2 13 =15\n")
    critique = wrong(1, 2, embedded.explain("bad-result", "2 + 13 = 16"))
    prompt = ACTOR.revise(COUNTDOWN, solution("14 / 7 = 2", "2 + 13 = 16"), critique, 1)
    assert prompt.prefill == "14 / 7 2 13 =15\nreject 13 + 2 16 bad-result\n"
    prompt = ACTOR.refine(COUNTDOWN, solution("14 / 7 = 2", "2 + 13 = 16"), critique)
    assert prompt.prefill == "reject 13 + 2 16 bad-result\n"


def test_a_revision_shares_the_prefix_of_what_it_keeps() -> None:
    steps = sudoku.solve(SUDOKU_PUZZLE)
    assert steps is not None
    attempt = solution(*steps)
    whole = ACTOR.extend(SUDOKU, attempt)
    critique = wrong(4, len(steps), embedded.explain("clash", steps[4]))
    prompt = ACTOR.revise(SUDOKU, attempt, critique, 4)
    kept, _, rest = prompt.prefill.partition("reject ")
    assert whole.prefill.startswith(kept)
    assert kept.count("\n") == 4
    assert rest == steps[4].replace(" ", "") + "\nclash\n"


def test_the_reason_of_another_critic_becomes_the_general_one() -> None:
    critique = wrong(0, 2, "verdict: correct\nreject 1 + 1 2 ok\n")
    prompt = ACTOR.revise(COUNTDOWN, solution("14 + 7 = 21", "21 - 13 = 8"), critique, 0)
    assert prompt.prefill == "reject 14 + 7 21 wrong\n"


@pytest.mark.parametrize("code", sorted(lines.REASONS))
def test_reasons_survive_being_told_to_a_person(code: str) -> None:
    told = embedded.explain(code, "{step} = 2")
    assert embedded.reason_code(told) == code
    assert "{step} = 2" in told


def test_foreign_problems_are_refused_with_one_line() -> None:
    with pytest.raises(InputError) as actor:
        ACTOR.propose(FOREIGN)
    with pytest.raises(InputError) as critic:
        CRITIC.ask(FOREIGN, RIGHT)
    assert "\n" not in f"{actor.value}{critic.value}"


@given(st.text(max_size=40), st.booleans())
def test_no_text_of_an_actor_raises_or_is_lost(text: str, stop: bool) -> None:
    for problem in (COUNTDOWN, SUDOKU, ARITHMETIC, FOREIGN):
        read = ACTOR.read(problem, None, generation(text, stop=stop))
        assert read.raw == text
        if not stop:
            assert not read.complete


def test_a_cut_attempt_is_not_complete() -> None:
    text = "14 / 7 2 13 =15\n13 + 2 15 "
    whole = ACTOR.read(COUNTDOWN, None, generation(text))
    assert whole.complete
    assert [s.text for s in whole.steps] == ["14 / 7 = 2", "13 + 2 = 15"]
    assert whole.answer is not None
    cut = ACTOR.read(COUNTDOWN, None, generation(text, stop=False))
    assert not cut.complete
    assert cut.answer is None
    assert not ACTOR.read(COUNTDOWN, None, generation("14 / 7 2 13 =15\n")).complete


def test_tokens_stay_with_their_line_and_the_end_with_the_last() -> None:
    text = "14 / 7 2 13 =15\n13 + 2 15 "
    words = [*tokens_of(text), "<eos>"]
    tokens = tuple(TokenLogprob(token_id=i, text=w, logprob=-float(i)) for i, w in enumerate(words))
    read = ACTOR.read(COUNTDOWN, None, generation(text, tokens))
    assert [s.token_ids for s in read.steps] == [(0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10)]
    assert read.logprob == -sum(range(11))


def test_a_critique_read_whole() -> None:
    tokens = (said("ok", 0.9), said("bad-result", 0.25))
    critique = CRITIC.read(COUNTDOWN, RIGHT, generation("ok\nbad-result\n", tokens))
    assert [s.verdict for s in critique.steps] == [Verdict.CORRECT, Verdict.INCORRECT]
    assert critique.steps[1].explanation == "bad-result: the result of 2 + 13 = 15 is wrong"
    assert critique.verdict is Verdict.INCORRECT
    assert critique.first_error == 1
    assert critique.score == pytest.approx(0.9 * 0.25)


def test_a_critique_without_probabilities_has_verdicts_and_no_score() -> None:
    critique = CRITIC.read(COUNTDOWN, RIGHT, generation("ok\nunreachable\n"))
    assert [s.verdict for s in critique.steps] == [Verdict.CORRECT, Verdict.INCORRECT]
    assert critique.score is None


def test_what_the_critic_reads_is_the_attempt_as_the_actor_would_write_it() -> None:
    assert CRITIC.ask(COUNTDOWN, RIGHT).content == "numbers 7 13 14 =15\n14 / 7 2 13 =15\n13 + 2 15 judge\n"
    assert CRITIC.max_tokens(RIGHT) == 3


@pytest.mark.parametrize("text", ["", "ok", "ok\n", "ok\nok", "ok\nmaybe\n", "OK\nOK\n", "correct\ncorrect\n", "\n\n"])
def test_a_malformed_critique_never_passes(text: str) -> None:
    critique = CRITIC.read(COUNTDOWN, RIGHT, generation(text))
    assert critique.verdict is not Verdict.CORRECT
    assert critique.score is None
    assert len(critique.steps) == 2


@given(st.text(max_size=30))
def test_only_two_oks_pass_two_steps(text: str) -> None:
    critique = CRITIC.read(COUNTDOWN, RIGHT, generation(text))
    if critique.verdict is Verdict.CORRECT:
        assert text.split("\n")[:2] == ["ok", "ok"]


def test_an_unreadable_step_is_unscored_and_so_is_the_solution() -> None:
    attempt = solution("14 / 7 = 2", "verdict: correct\nok\nok")
    assert "verdict" not in CRITIC.ask(COUNTDOWN, attempt).content
    critique = CRITIC.read(COUNTDOWN, attempt, generation("ok\nok\n", (said("ok", 0.9), said("ok", 0.9))))
    assert [s.verdict for s in critique.steps] == [Verdict.CORRECT, Verdict.UNSCORED]
    assert critique.verdict is Verdict.UNSCORED
    assert critique.score is None


def test_a_short_attempt_that_claims_to_be_whole_is_unscored() -> None:
    critique = CRITIC.read(COUNTDOWN, solution("14 / 7 = 2"), generation("ok\n", (said("ok", 0.99),)))
    assert critique.verdict is Verdict.UNSCORED
    assert critique.score is None
    partial = CRITIC.read(COUNTDOWN, solution("14 / 7 = 2", complete=False), generation("ok\n", (said("ok", 0.99),)))
    assert partial.verdict is Verdict.CORRECT
    assert partial.score == pytest.approx(0.99)


def test_an_expression_as_the_models_read_it() -> None:
    assert ACTOR.propose(ARITHMETIC).content == "compute (1 19 - (2 (3 3 + 9 )3 - 4 )2 )1 + 16 =?\n"
    wrong_steps = ("3 + 9 = 12", "12 - 4 = 9")
    critique = wrong(1, 2, embedded.explain("bad-result", wrong_steps[1]))
    prompt = ACTOR.revise(ARITHMETIC, solution(*wrong_steps, complete=False), critique, 1)
    assert prompt.prefill == "3 + 9 =12\nreject 12 - 4 =9\nbad-result\n"
    read = ACTOR.read(ARITHMETIC, None, generation("3 + 9 =12\n12 - 4 =8\n19 - 8 =11\n11 + 16 =27\n"))
    assert [step.text for step in read.steps] == ["3 + 9 = 12", "12 - 4 = 8", "19 - 8 = 11", "11 + 16 = 27"]
    assert read.complete and read.answer == "27"
    astray = ACTOR.read(ARITHMETIC, None, generation("3 + 9 =12\n12 - 4 =8\n19 - 8 =11\n11 + 15 =26\n"))
    assert astray.complete and astray.answer == "11 + 15 = 26"


def test_an_older_pair_says_what_it_does_not_know() -> None:
    older = frozenset(lines.vocabulary()[: lines.vocabulary().index("compute ")])
    actor, critic = EmbeddedActorFormat(older), EmbeddedCriticFormat(older)
    assert (actor.max_tokens, ACTOR.max_tokens) == (32, 48)
    assert actor.propose(COUNTDOWN) == ACTOR.propose(COUNTDOWN) and actor.propose(SUDOKU) == ACTOR.propose(SUDOKU)
    with pytest.raises(InputError, match="does not know arithmetic, only countdown and sudoku: take"):
        actor.propose(ARITHMETIC)
    with pytest.raises(InputError, match="does not know arithmetic, only countdown and sudoku: take"):
        critic.ask(ARITHMETIC, solution("3 + 9 = 12"))
    with pytest.raises(InputError, match="solves only problems such as") as foreign:
        actor.propose(FOREIGN)
    assert "Work out" not in str(foreign.value)


def test_numbers_without_a_token_leave_the_step_unscored() -> None:
    attempt = solution("14 * 7 = 98", "98 * 13 = 1274")
    assert CRITIC.ask(COUNTDOWN, attempt).content.count("judge") == 1
    assert CRITIC.read(COUNTDOWN, attempt, generation("ok\nok\n")).steps[1].verdict is Verdict.UNSCORED


def test_the_answer_of_a_sudoku_is_the_filled_grid() -> None:
    problem = Problem(id="s", prompt="Fill the sudoku 1.../..2./.3../4...")
    puzzle = sudoku.parse(problem.text)
    assert puzzle is not None
    steps = sudoku.solve(puzzle)
    assert steps is not None
    text = "".join(lines.render_lines(puzzle, steps))
    generation = Generation(text=text, finish_reason=FinishReason.STOP, usage=Usage())
    answer = ACTOR.read(problem, None, generation).answer
    assert puzzle.solution is not None and answer == "/".join(puzzle.solution[i : i + 4] for i in range(0, 16, 4))
