"""Exploring expert failures: useful actions of failed expert trajectories, found by going on from their states.

EEF (Lan et al. 2025, arXiv 2504.13145). From s_0, s_l, s_2l ... of a failed expert attempt a student goes on. The
expert's actions between two states are beneficial if the student fails from the first and succeeds from the second:
they are learnt, all others of the expert are context with label -100. Also learnt: the student's success from a state,
and expert attempts that succeed. A state whose replay differs from the log counts for nothing.
Deviations: success = at least one of the rollouts; a segment and the student's way on from it are rows of their own;
any later success from a failed attempt counts as recovery. The actions are the steps of a solution; in an environment
each is a turn of the chat, with what the environment shows between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from actorcritic.export.chat import assistant, written
from actorcritic.export.masking import masked_tokens, masked_turns
from actorcritic.export.needs import derived, scored
from actorcritic.export.reading import collected, helped, said_in
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import integer
from actorcritic.tasks import environment
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Solution

__all__ = ["RECIPE", "beneficial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rollout:
    solution: Solution
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """A state of the expert's attempt, and how the student fared from there."""

    at: int
    faithful: bool
    rollouts: tuple[_Rollout, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulated:
    """Payload of the collection step `resimulate`."""

    every: int
    states: tuple[_State, ...] = ()


def beneficial(outcomes: Sequence[tuple[int, bool]], every: int) -> list[range]:
    """Return the expert's actions between a state that the student fails from and the next that it succeeds from.

    Args:
        outcomes: Per state the number of steps before it, ascending, and whether the student succeeded from there.
        every: Steps between two states; where one between is missing, nothing is known of the actions around it.
    """
    pairs = pairwise(outcomes)
    return [range(at, after) for (at, won), (after, then) in pairs if after == at + every and not won and then]


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the rows of a problem, each text once; those that only simulation finds come first under the cap."""
    found: dict[str, list[Result]] = {"segment": [], "continuation": [], "recovery": [], "expert": [], "self": []}
    seen: set[str] = set()
    for attempt in episode.attempts:
        for kind, result in _results(episode, attempt, setting):
            if isinstance(result, Drop):
                yield result
                continue
            text = str(result.columns)
            if text in seen:
                yield Drop("same as another row of its problem")
            else:
                seen.add(text)
                found[kind].append(result)
    cap = setting.options.whole("cap")
    rows = [row for kind in found for row in found[kind]]
    yield from rows[:cap]
    yield from (Drop("over the cap of its problem") for _ in rows[cap:])


def _results(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> Iterator[tuple[str, Result]]:
    """Yield what an expert's attempt gives, by kind."""
    solution = attempt.solution
    if attempt.action is Action.JUDGE:
        return
    drop = None
    if solution is None or not solution.steps:
        drop = Drop("failed or cancelled")
    elif attempt.correct is None:
        drop = Drop("correctness unknown")
    elif helped(episode, attempt):
        drop = Drop("written after a critique")
    if drop is not None or solution is None:
        yield "", drop or Drop("failed or cancelled")
        return
    simulated = [made for trial, made in collected(episode, "resimulate", _Simulated) if trial == attempt.id]
    if attempt.correct:
        yield "expert", _row(episode, attempt, solution, set(range(len(solution.steps))), "expert", setting)
    elif not simulated:
        yield "", Drop("failed, and nobody went on from it")
    for made in simulated:
        yield from _explored(episode, attempt, solution, made, setting)


def _explored(
    episode: Episode, attempt: EpisodeAttempt, expert: Solution, made: _Simulated, setting: Setting
) -> Iterator[tuple[str, Result]]:
    """Yield what a student found out about an attempt."""
    states = sorted((state for state in made.states if state.faithful), key=lambda state: state.at)
    yield from (("", Drop("replayed state differs")) for state in made.states if not state.faithful)
    known = [state for state in states if state.rollouts and 0 <= state.at <= len(expert.steps)]
    outcomes = [(state.at, any(rollout.correct for rollout in state.rollouts)) for state in known]
    live = {step for steps in beneficial(outcomes, made.every) for step in steps}
    after = {steps.stop for steps in beneficial(outcomes, made.every)}
    if not attempt.correct:
        row = _row(episode, attempt, expert, live, "segment", setting) if live else Drop("no beneficial segment")
        yield "segment", row
    for state in known:
        kind = "self" if state.at == 0 else "continuation" if state.at in after else "recovery"
        for rollout in state.rollouts:
            if not rollout.correct:
                yield "", Drop("student failed")
            elif not _goes_on(expert, rollout.solution, state.at):
                yield "", Drop("does not go on from the expert's steps")
            else:
                steps = set(range(state.at, len(rollout.solution.steps)))
                yield kind, _row(episode, attempt, rollout.solution, steps, kind, setting)


def _goes_on(expert: Solution, student: Solution, at: int) -> bool:
    """Whether a student's solution begins with the expert's steps, and ends."""
    same = [step.text for step in student.steps[:at]] == [step.text for step in expert.steps[:at]]
    return same and student.complete and len(student.steps) > at


def _row(
    episode: Episode, attempt: EpisodeAttempt, solution: Solution, live: set[int], kind: str, setting: Setting
) -> Row:
    """Return a solution of which some steps are learnt."""
    prompt = setting.prompt(episode.problem)
    texts = [step.raw or f"{step.text}\n" for step in solution.steps]
    played = episode.problem.checker == environment.CHECKER
    learnt = [i in live for i, step in enumerate(solution.steps) if step.observation is not None or not played]
    if played:
        said = written(episode.problem, solution)
    else:
        said = [message for text in texts for message in assistant(text.strip())]
    if setting.form == "turns":
        columns: Columns = {"messages": [*prompt, *said], "train_turns": cast("list[JsonValue]", learnt)}
    elif played:
        columns = masked_turns(prompt, said, learnt, setting.tokens)
    else:
        texts[-1] = texts[-1].rstrip()
        columns = masked_tokens(prompt, list(zip(texts, learnt, strict=True)), setting.tokens)
    return Row(
        columns={**columns, "kind": kind},
        attempts=(attempt.id,),
        filters=("faithful", "beneficial") if kind == "segment" else ("correct", "distinct"),
        asked=said_in(prompt),
        taught=said_in(said),
    )


RECIPE = Recipe(
    name="eef",
    paper="Lan et al. 2025, arXiv:2504.13145",
    summary="useful actions of failed expert attempts, found by going on from their states",
    forms={
        "tokens": Form(dataset="tokenized", trainer="SFTTrainer", tokens=True),
        "turns": Form(dataset="language-modeling", trainer="none in TRL 1.16: the same rows, for reading"),
    },
    rows=_rows,
    needs=(scored(), derived("resimulate")),
    options=(integer("cap", 8, "Rows per problem at most, those that only simulation finds first."),),
)
