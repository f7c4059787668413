"""What needs no model: `score` says whether attempts are right, `feedback` says what is wrong with them.

`score` appends the scores that a run lacks, as `collect` writes them after a search. `feedback` speaks as the
environment does (LeTI, arXiv 2305.10314; FAFT, arXiv 2408.06318): from the task's exact rules the wrong steps and
why, else whether the answer is there and right; never the gold answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from actorcritic.collection.step import PASS_RATE, CollectionStep, Job, Made, Work, attempts_option, chosen, is_right
from actorcritic.metering import CallMeter
from actorcritic.tasks import environment
from actorcritic.tasks.checkers import checker_of, label
from actorcritic.trajectory.episodes import Episode
from actorcritic.trajectory.events import Kind
from actorcritic.types import Action, JsonValue, Solution

__all__ = ["FEEDBACK", "SCORE"]


def _score_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    del work
    for attempt in episode.attempts:
        solution = attempt.solution
        if (
            attempt.correct is None
            and attempt.action is not Action.JUDGE
            and solution is not None
            and solution.complete
        ):
            yield Job(trial=attempt.id, work=partial(_score, episode, solution))


async def _score(episode: Episode, solution: Solution, meter: CallMeter) -> Made | None:
    del meter
    right = await is_right(episode, solution)
    if right is None:
        return None
    return {"by": f"checker:{checker_of(episode.problem)}", "score": float(right), "gold": True}


def _feedback_jobs(episode: Episode, work: Work) -> Iterator[Job]:
    for attempt in chosen(episode, work.options):
        if attempt.solution is not None:
            yield Job(trial=attempt.id, work=partial(_feedback, episode, attempt.solution))


async def _feedback(episode: Episode, solution: Solution, meter: CallMeter) -> Made | None:
    del meter
    right = await is_right(episode, solution)
    if right is None:
        return None
    messages: list[JsonValue] = [] if right else [*_complaints(episode, solution)]
    return {"by": f"checker:{checker_of(episode.problem)}", "passed": right, "messages": messages}


def _complaints(episode: Episode, solution: Solution) -> list[str]:
    """Return what is wrong, at least one line."""
    if checker_of(episode.problem) == environment.CHECKER:
        return [f"The task is not done: the episode earned {environment.episode_return(solution) or 0.0:.2f} of 1."]
    labels = label(episode.problem, solution) or ()
    wrong = [f"Step {number}: {said.code}." for number, said in enumerate(labels, start=1) if not said.correct]
    if wrong:
        return wrong
    return ["There is no final answer." if solution.answer is None else "The final answer is wrong."]


SCORE = CollectionStep(
    name="score",
    summary="whether each complete attempt is right, by the task's checker or the gold answer; asks no model",
    jobs=_score_jobs,
    kind=Kind.SCORED,
)

FEEDBACK = CollectionStep(
    name="feedback",
    summary="what the task's checker complains of in an attempt (LeTI, FAFT); asks no model",
    jobs=_feedback_jobs,
    options=(attempts_option("all", "right", "wrong"), PASS_RATE),
)
