"""Critique-GRPO: groups of answers in which one is a refinement after a critique, learnt as if it were asked at once.

Zhang et al. 2025 (arXiv 2506.03106). The trainer samples n answers, has each criticised and refined, and puts the first
right refinement, else the best one, in the place of the last answer; it stands after the question alone. Advantage =
reward - mean over the group (`group_advantages`); on a refinement's tokens the loss takes p / (p + gamma).

    form=grpo     questions for that trainer, with what rewards and critiques need
    form=logged   the same groups out of a log, for a warm start: every answer with its reward and advantage
    form=sdpo     a question and, apart from it, a critique: TRL's trainer that learns from feedback

Deviations: `logged` and `sdpo` are ours; refinements that speak of the critique are not chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from actorcritic.errors import InputError
from actorcritic.export.chat import assistant, critique_text, mentions_help, solution_text
from actorcritic.export.critics import Refined, judged, known_attempts, refined
from actorcritic.export.needs import critiqued, scored
from actorcritic.export.reading import collected, helped, reward_columns
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer
from actorcritic.tasks.checkers import has_gold
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Reference, Solution, Verdict

__all__ = ["GAMMA", "RECIPE", "group_advantages"]

GAMMA = 0.1
"""Where, as the probability of a token, learning from a refinement is strongest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A member of a group."""

    text: str
    correct: bool
    trials: tuple[int, ...]
    refinement: bool = False


def group_advantages(rewards: Sequence[float]) -> list[float]:
    """Return each reward less the mean of its group; not divided by their spread."""
    mean = fmean(rewards)
    return [reward - mean for reward in rewards]


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's question, its group or its critiques."""
    if setting.form != "grpo" and setting.words.name != "chat":
        raise InputError(f"form={setting.form} has chats alone: leave out the wording, or export form=grpo")
    forms = {"grpo": _question, "logged": _group, "sdpo": _feedback}
    return forms[setting.form](episode, setting)


def _question(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the question with what the trainer needs to reward and to criticise."""
    gold = Reference() if episode.gold is None else episode.gold
    if not has_gold(episode.problem, gold):
        yield Drop("problem without a gold side")
    elif not episode.attempts:
        yield Drop("problem without an attempt")
    else:
        columns: Columns = {
            "prompt": setting.words.ask(episode.problem),
            **reward_columns(episode),
            "solution": gold.solution or "",
            "critique": setting.options.text("critique"),
        }
        yield Row(columns=columns, attempts=(episode.attempts[0].id,), filters=("gold side known",))


def _group(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the members of a problem's group: at most n - 1 first answers, and one refinement."""
    first: list[_Answer] = []
    for known in known_attempts(episode):
        if isinstance(known, Drop):
            yield known
        elif not helped(episode, known[0]):
            attempt, solution = known
            one = _Answer(text=solution_text(solution), correct=attempt.correct is True, trials=(attempt.id,))
            if len(first) < setting.options.whole("n") - 1:
                first.append(one)
            else:
                yield Drop("over the size of its group")
    candidates = [one for one in _refinements(episode) if not mentions_help(one.text)]
    if not first or not candidates:
        yield Drop("problem without a refinement" if first else "problem without a first answer")
        return
    # `max` keeps the order of the log among equals: the first right one, else the first.
    members = [*first, max(candidates, key=lambda one: one.correct)]
    rewards = [float(one.correct) for one in members]
    if len(set(rewards)) == 1:
        yield Drop("group with one reward")
        return
    for one, reward, advantage in zip(members, rewards, group_advantages(rewards), strict=True):
        columns: Columns = {
            "prompt": setting.prompt(episode.problem),
            "completion": assistant(one.text),
            "reward": reward,
            "advantage": advantage,
            "is_refined": one.refinement,
        }
        yield Row(columns=columns, attempts=one.trials, filters=("correctness known", "one refinement"))


def _refinements(episode: Episode) -> Iterator[_Answer]:
    """Yield the finished refinements of which it is known whether they are right."""
    for attempt in episode.attempts:
        if attempt.parent is not None and helped(episode, attempt) and attempt.complete and attempt.correct is not None:
            yield _answer(attempt.solution, attempt.correct, (attempt.parent, attempt.id))
    for trial, made in collected(episode, "refine", Refined):
        for one in made.refinements if trial is not None else ():
            if one.solution.complete and one.correct is not None:
                yield _answer(one.solution, one.correct, (trial or 0,))


def _answer(solution: Solution | None, correct: bool, trials: tuple[int, ...]) -> _Answer:
    assert solution is not None
    return _Answer(text=solution_text(solution), correct=correct, trials=trials, refinement=True)


def _feedback(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the question with critiques of wrong answers, in a column that the model reads as its own teacher alone."""
    made = 0
    for known in known_attempts(episode):
        if isinstance(known, Drop):
            yield known
            continue
        attempt, solution = known
        if attempt.correct:
            yield Drop("right already")
            continue
        for said in judged(episode, attempt):
            if said.critique.verdict is not Verdict.INCORRECT:
                yield Drop("does not call the wrong answer wrong")
            elif made >= setting.options.whole("cap"):
                yield Drop("over the cap of its problem")
            else:
                made += 1
                yield _feedback_row(episode, attempt, critique_text(solution, said.critique), setting)


def _feedback_row(episode: Episode, attempt: EpisodeAttempt, feedback: str, setting: Setting) -> Row:
    columns: Columns = {
        "prompt": setting.prompt(episode.problem),
        "privileged_context": feedback,
        **reward_columns(episode),
    }
    return Row(columns=columns, attempts=(attempt.id,), filters=("wrong", "verdict agrees"))


def _settings(rows: Sequence[Columns]) -> dict[str, JsonValue]:
    """Return what GRPO and SDPO must be told; the form shows in the columns."""
    if any("privileged_context" in row for row in rows):
        return {"include_environment_feedback": True, "learning_rate": 1e-6}
    if any("advantage" in row for row in rows):
        return {}
    return {"scale_rewards": "none", "beta": 0.0, "loss_type": "dr_grpo", "num_generations": 8, "temperature": 1.0}


RECIPE = Recipe(
    name="critique-grpo",
    paper="Zhang et al. 2025, arXiv:2506.03106",
    summary="questions, groups or critiques for learning from refinements within a group",
    forms={
        "grpo": Form(dataset="prompt-only", trainer="GRPOTrainer"),
        "logged": Form(dataset="prompt-completion", trainer="none in TRL 1.16: our own"),
        "sdpo": Form(dataset="prompt-only", trainer="trl.experimental.sdpo.SDPOTrainer"),
    },
    rows=_rows,
    wordings=ANY,
    needs=(
        replace(scored(), when=("form", "logged")),
        replace(refined(), when=("form", "logged")),
        replace(critiqued(), when=("form", "sdpo")),
    ),
    options=(
        choice("critique", ("text", "simple-gt", "simple"), "What the trainer's critiques say; for form=grpo."),
        integer("n", 8, "Answers per group at most, the refinement included; for form=logged.", low=2),
        integer("cap", 4, "Critiques per problem at most; for form=sdpo."),
    ),
    trainer_settings=_settings,
    conditions={"gamma": GAMMA, "clip": False, "entropy_coef": 0.001},
)
