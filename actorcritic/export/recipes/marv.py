"""MARV: pairs of critiques of one solution, ranked by what several models' revisions with them are worth.

MultiCritique (Lan et al. 2024, arXiv 2410.15287), its second stage: critiques are validated by their outcome. Score =
1 + utility for a critique whose verdict is right, utility being the share of right refinements with it, the mean over
the refining models; a pair needs a distance of `delta`. The paper trains a reward model and PPO; rows are for DPO.
Deviations: a critique with a wrong verdict or none scores 0 whatever came of it, so that luck never makes it the chosen
one; a right solution that is called right and not refined counts as kept right.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from actorcritic.export.chat import CRITIC_TEMPLATES
from actorcritic.export.critics import Judged, judged, known_attempts, refined
from actorcritic.export.needs import scored
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import integer, number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Solution, Verdict

__all__ = ["RECIPE", "critique_value"]


def critique_value(said: Judged, *, correct: bool) -> float | None:
    """Return what a critique is worth: 0, or between 1 and 2; None where its verdict is right and nobody tried it."""
    if said.critique.verdict is Verdict.UNSCORED or (said.critique.verdict is Verdict.CORRECT) != correct:
        return 0.0
    if said.utility is not None:
        return 1.0 + said.utility
    return 2.0 if correct else None


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the pairs of critiques of every attempt of a problem."""
    for known in known_attempts(episode):
        if isinstance(known, Drop):
            yield known
        else:
            yield from _pairs(episode, *known, setting)


def _pairs(episode: Episode, attempt: EpisodeAttempt, solution: Solution, setting: Setting) -> Iterator[Result]:
    """Yield the pairs of one attempt, the widest distances first."""
    ranked: list[tuple[float, Judged]] = []
    for said in judged(episode, attempt):
        value = critique_value(said, correct=attempt.correct is True)
        tried = len(said.outcomes)
        if value is None or (value > 0 and 0 < tried < setting.options.whole("least")):
            yield Drop("too few refinements with it")
        else:
            ranked.append((value, said))
    ranked.sort(key=lambda item: -item[0])
    pairs = sorted(combinations(ranked, 2), key=lambda pair: pair[1][0] - pair[0][0])
    made, words = 0, setting.words
    for (high, better), (low, worse) in pairs:
        if high - low < setting.options.real("delta"):
            yield Drop("critiques worth about the same")
        elif made >= setting.options.whole("cap"):
            yield Drop("over the cap of its solution")
        else:
            made += 1
            columns: Columns = {
                "prompt": words.judge(episode.problem, solution),
                "chosen": words.remarks(episode.problem, solution, better.critique),
                "rejected": words.remarks(episode.problem, solution, worse.critique),
                "score_chosen": high,
                "score_rejected": low,
            }
            trials = tuple(dict.fromkeys((*better.trials, *worse.trials)))
            yield Row(columns=columns, attempts=trials, filters=("verdict agrees", "validated", "margin"))


RECIPE = Recipe(
    name="marv",
    paper="Lan et al. 2024, arXiv:2410.15287",
    summary="critic, preference: critiques by the outcome of refinements with them",
    forms={"dpo": Form(dataset="preference", trainer="DPOTrainer")},
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt"}),
    templates=CRITIC_TEMPLATES,
    needs=(scored(), refined()),
    options=(
        number("delta", 0.5, "Scores, in [0, 2], differ by at least this.", low=0, high=2, open_low=True),
        integer("least", 1, "Refinements with a critique at least."),
        integer("cap", 4, "Pairs per solution at most, the widest distances first."),
    ),
    trainer_settings=lambda rows: {"beta": 0.1},
)
