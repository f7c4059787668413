"""Critique fine-tuning: learn to write the critique of a candidate solution.

CFT (Wang et al. 2025, arXiv 2501.17703) and its one-problem variant (arXiv 2506.03295): many candidates by several
solvers, critiques by several teachers, of which the incorrect and inconsistent are left out. Loss on the critique
alone; choose the checkpoint by accuracy in solving, and evaluate in the ordinary solving mode.
Deviation: a critique that does not end with the paper's conclusion gets it from its verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from actorcritic.export.chat import assistant, boxed_answer, critique_text, solution_text, user
from actorcritic.export.needs import critiqued, scored
from actorcritic.export.reading import Judgement, equals_gold, judgements, refusal
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, number
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Solution, Verdict

__all__ = ["RECIPE"]

TEMPLATE = "export_cft"
_END = re.compile(r"conclusion:\s{0,4}(?:right|wrong)\b[^\n]{0,40}\s*\Z", re.IGNORECASE)


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the critiques of a problem's candidates that are consistent with what is known."""
    share = setting.options.real("cluster")
    candidates = [attempt for attempt in episode.attempts if attempt.action is not Action.JUDGE]
    known = [attempt for attempt in candidates if refusal(attempt) is None]
    yield from (refused for attempt in candidates if (refused := refusal(attempt)) is not None)
    room = {answer: max(1, int(share * len(known))) for answer in map(_cluster, known)}
    seen: set[str] = set()
    taken: Counter[str | None] = Counter()
    for attempt in known:
        solution = attempt.solution
        assert solution is not None
        if solution_text(solution) in seen:
            yield Drop("same candidate twice")
        elif taken[_cluster(attempt)] >= room[_cluster(attempt)]:
            yield Drop("too many candidates with one answer")
        else:
            seen.add(solution_text(solution))
            taken[_cluster(attempt)] += 1
            yield from _critiques(episode, attempt, solution, setting)


def _cluster(attempt: EpisodeAttempt) -> str | None:
    """Return by what candidates are alike: their answer."""
    return None if attempt.solution is None else attempt.solution.answer


def _critiques(episode: Episode, attempt: EpisodeAttempt, solution: Solution, setting: Setting) -> Iterator[Result]:
    """Yield the rows of one candidate, one per teacher."""
    teachers: set[str] = set()
    said = list(judgements(episode, attempt))
    if not said:
        yield Drop("candidate without a critique")
    for judgement in said:
        reason = _inconsistency(episode, attempt, solution, judgement, setting)
        if reason is None and judgement.critic in teachers:
            reason = "second critique of a candidate by one teacher"
        if reason is not None:
            yield Drop(reason)
            continue
        teachers.add(judgement.critic)
        yield Row(
            columns=_columns(episode, solution, judgement, setting),
            attempts=tuple(dict.fromkeys((attempt.id, judgement.trial))),
            filters=("readable", "verdict agrees", "correction agrees", "distinct"),
        )


def _inconsistency(
    episode: Episode, attempt: EpisodeAttempt, solution: Solution, judgement: Judgement, setting: Setting
) -> str | None:
    """Return why a critique cannot be trusted, None if it can."""
    verdict = judgement.critique.verdict
    if verdict is Verdict.UNSCORED:
        return "critique without a readable verdict"
    if (verdict is Verdict.CORRECT) != attempt.correct:
        return "verdict contradicts the gold side"
    if verdict is Verdict.CORRECT:
        return None
    correction = boxed_answer(critique_text(solution, judgement.critique))
    if correction is None:
        return "no corrected answer" if setting.options.text("fix") == "required" else None
    right = equals_gold(episode, correction)
    return None if right else "corrected answer is wrong" if right is False else "corrected answer cannot be checked"


def _columns(episode: Episode, solution: Solution, judgement: Judgement, setting: Setting) -> Columns:
    right = judgement.critique.verdict is Verdict.CORRECT
    facts: Columns = {"critic": judgement.critic, "verdict": "right" if right else "wrong"}
    words = setting.words
    if words.name != "chat":
        # Such a model has no words for the teacher's request: it is asked as its own critic is.
        said = words.remarks(episode.problem, solution, judgement.critique)
        return {"prompt": words.judge(episode.problem, solution), "completion": said, **facts}
    prompt = load_template(TEMPLATE).fill(
        question=episode.problem.text, solution=quote(solution_text(solution), "solution")
    )
    text = critique_text(solution, judgement.critique)
    if not _END.search(text):
        text = f"{text}\n\nConclusion: {'right' if right else 'wrong'} [END]"
    return {"prompt": user(prompt), "completion": assistant(text), **facts}


RECIPE = Recipe(
    name="cft",
    paper="Wang et al. 2025, arXiv:2501.17703; Wang et al. 2025, arXiv:2506.03295",
    summary="critique fine-tuning: write the critique of a candidate solution",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt"}),
    templates=(TEMPLATE,),
    needs=(scored(), critiqued()),
    options=(
        choice("fix", ("required", "if-given"), "Whether a critique of a wrong solution must give the right answer."),
        number("cluster", 1.0, "Candidates with one answer at most, as a share of all.", low=0, high=1, open_low=True),
    ),
)
