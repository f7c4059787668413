"""Critic data: write the step by step critique of a solution, learnt from critiques that are right and of use.

MathCritique (Xi et al. 2024, arXiv 2411.16579). Flawed solutions are wrong attempts, attempts gone on from a right step
until they went wrong, and attempts with an error put in (collection step `flawed-critique`); right ones are judged too.
The soft filter keeps the critique of a flawed solution if at least the share `tau` of refinements with it come out
right. Deviations: critiques of the run and of further critics are taken in as well, under the same filter; they are
written out in this library's format, which is that of the paper; the mix of verdicts, which the paper leaves open, is
the option `ratio`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from actorcritic.export.chat import CRITIC_TEMPLATES, assistant
from actorcritic.export.critics import RATIO, even_sides, inconsistency, judged, known_attempts, refined, unclear_steps
from actorcritic.export.needs import scored
from actorcritic.export.reading import collected
from actorcritic.export.recipe import Drop, Form, Need, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.formats.chat import render_critique
from actorcritic.search.options import choice, number
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Critique, JsonValue, Solution, Verdict

__all__ = ["RECIPE"]

RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flawed:
    """Payload of the collection step `flawed-critique`."""

    by: str
    source: Literal["response", "location", "detail"]
    solution: Solution
    critique: Critique
    first_bad_step: int | None = None
    refined: int = 0
    successes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A solution and a critique of it."""

    solution: Solution
    critique: Critique
    correct: bool
    source: str
    critic: str
    trials: tuple[int, ...]
    refined: int = 0
    successes: int = 0
    utility: float | None = None
    """Share of right refinements, in [0, 1]; None where nobody refined."""
    first_bad_step: int | None = None
    """Where the error was made; None = nobody knows."""


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the critiques of a problem's solutions, each text once."""
    seen: set[str] = set()
    for case in _cases(episode):
        if isinstance(case, Drop):
            yield case
            continue
        drop = (
            inconsistency(case.critique, correct=case.correct)
            or unclear_steps(case.critique, case.solution)
            or _useless(case, setting)
        )
        said = "" if drop else _completion(episode, case, setting)
        key = f"{case.solution.text}\n\n{said}"
        if drop is None and key in seen:
            drop = Drop("same as another critique of its solution")
        if drop is None:
            seen.add(key)
        yield drop or _row(episode, case, said, setting)


def _cases(episode: Episode) -> Iterator[_Case | Drop]:
    """Yield every solution with every critique: of the run, of further critics, of solutions flawed on purpose."""
    for known in known_attempts(episode):
        if isinstance(known, Drop):
            yield known
            continue
        attempt, solution = known
        for said in judged(episode, attempt):
            yield _Case(
                solution=solution,
                critique=said.critique,
                correct=attempt.correct is True,
                source="attempt",
                critic=said.critic,
                trials=said.trials,
                refined=len(said.outcomes),
                successes=said.right,
                utility=said.utility,
            )
    for trial, made in collected(episode, "flawed-critique", _Flawed):
        if trial is not None:
            yield _Case(
                solution=made.solution,
                critique=made.critique,
                correct=False,
                source=made.source,
                critic=made.by,
                trials=(trial,),
                refined=made.refined,
                successes=made.successes,
                utility=made.successes / made.refined if made.refined > 0 else None,
                first_bad_step=made.first_bad_step,
            )


def _useless(case: _Case, setting: Setting) -> Drop | None:
    """Return why a critique of a flawed solution is of no use, None if it is of use or need not be."""
    if case.correct:
        return None
    if case.first_bad_step is not None and case.critique.first_error != case.first_bad_step:
        return Drop("finds another error than the one that was made")
    soft = setting.options.text("soft")
    if case.utility is None:
        return Drop("nobody refined with it") if soft == "required" else None
    if soft != "off" and case.utility < setting.options.real("tau"):
        return Drop("too few refinements come out right")
    return None


def _completion(episode: Episode, case: _Case, setting: Setting) -> JsonValue:
    critique = case.critique
    if setting.words.name != "chat":
        # A format of its own asks for a verdict on every step: one that stops at the error would be another format.
        return setting.words.remarks(episode.problem, case.solution, critique)
    if setting.options.text("steps") == "until-error" and critique.first_error is not None:
        critique = replace(critique, steps=critique.steps[: critique.first_error + 1])
    return assistant(render_critique(case.solution, critique))


def _row(episode: Episode, case: _Case, said: JsonValue, setting: Setting) -> Row:
    return Row(
        columns={
            "prompt": setting.words.judge(episode.problem, case.solution),
            "completion": said,
            "verdict": RIGHT if case.critique.verdict is Verdict.CORRECT else "wrong",
            "source": case.source,
            "critic": case.critic,
            "refined": case.refined,
            "successes": case.successes,
        },
        attempts=case.trials,
        filters=("verdict agrees", "steps agree", "soft filter", "distinct"),
    )


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    return even_sides(rows, setting, lambda row: row.columns["verdict"] == RIGHT)


def _can_be_filtered(episode: Episode) -> bool:
    return refined().found(episode) or any(made.step == "flawed-critique" for made in episode.derived)


RECIPE = Recipe(
    name="critic-sft",
    paper="Xi et al. 2024, arXiv:2411.16579",
    summary="critic: step by step critiques that are right and of use",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt", "derived"}),
    templates=CRITIC_TEMPLATES,
    needs=(
        scored(),
        Need(
            what="refinements with critiques",
            found=_can_be_filtered,
            collect="actorcritic collect --from RUN --step refine",
            when=("soft", "required"),
        ),
    ),
    options=(
        choice("soft", ("required", "if-known", "off"), "The soft filter; if-known = pass where nobody refined."),
        number("tau", 0.3, "Refinements with it that come out right, as a share, at least.", low=0, high=1),
        choice("steps", ("until-error", "all"), "Which steps the critique speaks of."),
        RATIO,
    ),
    arrange=_arrange,
)
