"""Imitation learning from language feedback: answer at once as after the feedback.

ILF (Scheurer et al. 2023, arXiv 2303.16755). Of several refinements of an attempt with one piece of feedback the best
is chosen: by P(yes) to "does it take up the feedback?", averaged over the wordings of that question (InstructRM), or
by a checker, by the critic, or at random. The row asks the question alone; train on it and go on with the new model.
Deviation: before choosing, refinements are left out that are known to be wrong, are scored below the attempt, change
nothing or speak of the feedback; where nothing is known of correctness a row needs `unchecked=true`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from actorcritic.export.chat import mentions_help, solution_text
from actorcritic.export.needs import derived, scored
from actorcritic.export.reading import collected
from actorcritic.export.recipe import Columns, Drop, Form, Need, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, flag
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Critique, Solution

__all__ = ["RECIPE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refinement:
    """A refinement as the collection step `refine` writes one."""

    solution: Solution
    correct: bool | None = None
    incorporates: tuple[float, ...] = ()
    """P(yes) per wording, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refined:
    """Payload of the collection step `refine`."""

    critique: Critique
    refinements: tuple[_Refinement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Payload of the collection step `incorporates`."""

    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A refinement that may be chosen."""

    made: _Refinement
    trials: tuple[int, ...]
    """The attempt, and the refinement where it is a trial of its own."""
    score: float | None = None
    """What the critic gave it; None = unscored."""


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the best refinement of every attempt and piece of feedback, each text once."""
    seen: set[str] = set()
    for attempt in episode.attempts:
        for candidates in _groups(episode, attempt):
            for result in _chosen(episode, attempt, candidates, setting):
                if isinstance(result, Row):
                    text = str(result.columns)
                    if text in seen:
                        result = Drop("same as another refinement of its problem")
                    seen.add(text)
                yield result


def _groups(episode: Episode, attempt: EpisodeAttempt) -> Iterator[list[_Candidate]]:
    """Yield the refinements of an attempt: those of the run, which had its own critique, and each collected lot."""
    if attempt.solution is None:
        return
    asked = dict(collected(episode, "incorporates", _Asked))
    logged = [
        _Candidate(
            made=_Refinement(
                solution=child.solution,
                correct=child.correct,
                incorporates=asked[child.id].probabilities if child.id in asked else (),
            ),
            trials=(attempt.id, child.id),
            score=_score(child),
        )
        for child in episode.children(attempt.id)
        if child.action in (Action.REVISE, Action.REFINE) and child.solution is not None
    ]
    if logged and attempt.critique is not None:
        yield logged
    for trial, refined in collected(episode, "refine", _Refined):
        if trial == attempt.id:
            yield [_Candidate(made=made, trials=(attempt.id,)) for made in refined.refinements]


def _score(attempt: EpisodeAttempt) -> float | None:
    return None if attempt.critique is None else attempt.critique.score


def _chosen(
    episode: Episode, attempt: EpisodeAttempt, candidates: Sequence[_Candidate], setting: Setting
) -> Iterator[Result]:
    """Yield the row of one lot of refinements, and why the others are none."""
    ranked: list[tuple[float, _Candidate]] = []
    random = setting.draw(episode.problem.id, attempt.id)
    for candidate in candidates:
        drop = _refusal(attempt, candidate, setting)
        value = None if drop else _values(candidate, random.random())[setting.options.text("select")]
        if value is not None:
            ranked.append((value, candidate))
        else:
            yield drop or Drop(f"not scored by select={setting.options.text('select')}")
    if ranked:
        # The first of the best: `max` keeps the order of the log among equals.
        best = max(ranked, key=lambda pair: pair[0])[1]
        yield from (Drop("another refinement was chosen") for _ in range(len(ranked) - 1))
        yield _row(episode, attempt, best, setting)


def _refusal(attempt: EpisodeAttempt, candidate: _Candidate, setting: Setting) -> Drop | None:
    """Return why a refinement may not be chosen, None if it may."""
    made, before = candidate.made, _score(attempt)
    assert attempt.solution is not None
    checks = {
        "unfinished": not made.solution.complete,
        "wrong": made.correct is False,
        "correctness unknown": made.correct is None and not setting.options.on("unchecked"),
        "changes nothing": solution_text(made.solution) == solution_text(attempt.solution),
        "scored below the attempt": before is not None and candidate.score is not None and candidate.score < before,
        "speaks of help that the prompt does not hold": mentions_help(solution_text(made.solution)),
    }
    return next((Drop(reason) for reason, found in checks.items() if found), None)


def _values(candidate: _Candidate, drawn: float) -> dict[str, float | None]:
    """Return what each way of choosing makes of a refinement; None = it cannot say."""
    made = candidate.made
    return {
        "incorporates": fmean(made.incorporates) if made.incorporates else None,
        "checker": None if made.correct is None else float(made.correct),
        "critic": candidate.score,
        "random": drawn,
    }


def _row(episode: Episode, attempt: EpisodeAttempt, best: _Candidate, setting: Setting) -> Row | Drop:
    assert attempt.solution is not None
    words, problem = setting.words, episode.problem
    prompt, answer = words.ask(problem), words.answer(problem, best.made.solution)
    known = "correct" if best.made.correct else "correctness unknown"
    filters = (known, "changed", f"chosen by {setting.options.text('select')}")
    columns: Columns = {"prompt": prompt, "completion": answer}
    if setting.form != "sft":
        if attempt.correct or not attempt.complete:
            return Drop("attempt is right already, or unfinished")
        columns = {"prompt": prompt, "chosen": answer, "rejected": words.answer(problem, attempt.solution)}
    if setting.form == "triple":
        gold = None if episode.gold is None else episode.gold.solution
        if not gold:
            return Drop("no gold solution")
        columns = {**columns, "reference": words.worked(problem, gold)}
    return Row(columns=columns, attempts=best.trials, filters=filters)


def _is_refined(episode: Episode) -> bool:
    helped = any(attempt.action in (Action.REVISE, Action.REFINE) for attempt in episode.attempts)
    return helped or derived("refine").found(episode)


def _is_asked(episode: Episode) -> bool:
    lots = collected(episode, "refine", _Refined)
    return derived("incorporates").found(episode) or any(m.incorporates for _, lot in lots for m in lot.refinements)


RECIPE = Recipe(
    name="ilf",
    paper="Scheurer et al. 2023, arXiv:2303.16755",
    summary="answer at once as after the feedback: the best refinement of every attempt",
    forms={
        "sft": Form(dataset="prompt-completion", trainer="SFTTrainer"),
        "preference": Form(dataset="preference", trainer="DPOTrainer"),
        "triple": Form(dataset="preference", trainer="trl.experimental.tpo.TPOTrainer"),
    },
    rows=_rows,
    wordings=ANY,
    needs=(
        Need(
            what="attempts refined after a critique",
            found=_is_refined,
            collect="actorcritic collect --from RUN --step refine",
        ),
        Need(
            what="answers to whether refinements take up the critique",
            found=_is_asked,
            collect="actorcritic collect --from RUN --step refine:incorporates=yes",
            when=("select", "incorporates"),
        ),
        replace(scored(), when=("select", "checker")),
    ),
    options=(
        choice("select", ("incorporates", "checker", "critic", "random"), "By what the best refinement is chosen."),
        flag("unchecked", "Let in refinements of which nobody knows whether they are right."),
    ),
)
