"""What a critic is worth, on rows made up by hand."""

from __future__ import annotations

import pytest

from actorcritic.critic_report import CriticFacts, CriticRow, compare_critics, named_step, summarize
from actorcritic.errors import InputError
from actorcritic.metrics import UNPARSED
from actorcritic.types import Critique, StepCritique, Verdict

FACTS = CriticFacts(task="t", split="test", actor="a", critic="c", seed=0, temperature=1.0)
RIGHT, WRONG, UNSCORED = Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNSCORED


def row(
    problem: str,
    error: int | None,
    named: int | None,
    *,
    after: bool | None = None,
    score: float | None = None,
    finished: bool = True,
    labelled: bool = True,
) -> CriticRow:
    """Return a row; `error` = None is a right attempt, `named` as the critic's critique says."""
    verdict = RIGHT if named is None else UNSCORED if named == UNPARSED else WRONG
    return CriticRow(
        problem=problem,
        finished=finished,
        right=error is None,
        error=error,
        labelled=labelled,
        verdict=verdict,
        named=named,
        score=score,
        right_after=error is None if after is None else after,
        actor_tokens=10,
        critic_tokens=4,
    )


ROWS = [
    row("a", None, None, score=0.9),
    row("b", None, 1, score=0.3, after=False),
    row("c", 1, 1, score=0.1, after=True),
    row("d", 2, 0, score=0.2),
    row("e", 0, UNPARSED),
    row("f", 0, UNPARSED, finished=False),
]


def test_open_loop_counts_what_was_judged() -> None:
    report = summarize(ROWS, FACTS)
    assert (report.problems, report.unfinished, report.unscored) == (6, 1, 1)
    assert report.acc_err.value == pytest.approx(1 / 3, abs=1e-6) and report.acc_cor.value == 0.5
    assert report.f1.value == pytest.approx(2 * (1 / 3) * 0.5 / (1 / 3 + 0.5), abs=1e-6) and report.f1.count == 5
    # Wrong verdicts: b is right and called wrong, e cannot be read.
    assert report.discriminability.value == pytest.approx(3 / 5)
    assert report.auroc.value == 1.0 and report.auroc.count == 4
    assert report.f1.low is not None and report.f1.high is not None and report.f1.low <= 0.4 <= report.f1.high


def test_closed_loop_counts_every_problem() -> None:
    report = summarize(ROWS, FACTS)
    assert report.before.value == report.after.value == pytest.approx(2 / 6, abs=1e-6)
    assert report.gain.value == 0 and report.gain.low is not None and report.gain.low < 0
    assert (report.helpfulness.value, report.helpfulness.count) == (0.25, 4)
    assert (report.harm.value, report.harm.count) == (0.5, 2)
    assert (report.actor_tokens, report.critic_tokens) == (10, 4)


def test_without_labels_or_scores_there_is_no_figure() -> None:
    report = summarize([row("a", None, None, labelled=False), row("b", None, None, labelled=False)], FACTS)
    assert report.f1.value is None and report.auroc.value is None and report.helpfulness.value is None
    assert report.discriminability.value == 1.0
    unjudged = summarize([row("a", 0, UNPARSED, finished=False)], FACTS)
    assert unjudged.discriminability.value is None and unjudged.before.value == 0
    with pytest.raises(InputError):
        summarize([], FACTS)


def test_two_critics_are_compared_on_the_problems_of_both() -> None:
    better = [row("d", 2, 2, after=True), row("b", None, None), row("x", 0, 0), row("a", None, None)]
    versus = compare_critics(ROWS, better)
    # a, b and d: F1 0 (d's error is not found) against 1.
    assert versus.problems == 3 and versus.f1.value == 1.0
    assert versus.after.value == pytest.approx(2 / 3)
    assert compare_critics(better, better).f1.value == 0
    with pytest.raises(InputError, match="not measured on the same problems"):
        compare_critics(ROWS, [row("y", 0, 0)])


def test_what_a_critique_names() -> None:
    def critique(verdict: Verdict, *steps: Verdict) -> Critique:
        return Critique(steps=tuple(StepCritique(verdict=each) for each in steps), verdict=verdict)

    assert named_step(critique(RIGHT, RIGHT, RIGHT)) is None
    assert named_step(critique(WRONG, RIGHT, WRONG)) == 1
    assert named_step(critique(WRONG, RIGHT, RIGHT)) == UNPARSED
    assert named_step(critique(UNSCORED, RIGHT, UNSCORED)) == UNPARSED
