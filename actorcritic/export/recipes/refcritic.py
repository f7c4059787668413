"""RefCritic: a critic that thinks at length, rewarded for its verdict and for what a policy makes of its critique.

Tang et al. 2025 (arXiv 2507.15024). The cold start learns critiques whose verdict is right, and of wrong solutions only
those with which refinements come out right (`form=sft`); then reward = verdict right + lambda * mean correctness of k
refinements, the second part for wrong solutions that are called wrong alone (`form=grpo`, the default).
Deviations: the threshold of the cold start, lambda and k are ours; both verdicts are held in balance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from actorcritic.export.chat import CRITIC_TEMPLATES
from actorcritic.export.critics import (
    RATIO,
    even_sides,
    first_attempts,
    inconsistency,
    judged,
    judging_columns,
    refined,
)
from actorcritic.export.needs import scored
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import integer, number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Solution

__all__ = ["RECIPE"]


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the attempts of a problem to be judged, or the good critiques of them."""
    for known in first_attempts(episode, setting.options.whole("cap")):
        if isinstance(known, Drop):
            yield known
        elif setting.form == "grpo":
            columns = judging_columns(episode, *known, setting)
            filters = ("first attempt", "correctness known", "distinct")
            yield Row(columns=columns, attempts=(known[0].id,), filters=filters)
        else:
            yield from _critiques(episode, *known, setting)


def _critiques(episode: Episode, attempt: EpisodeAttempt, solution: Solution, setting: Setting) -> Iterator[Result]:
    """Yield the critiques of an attempt that are right and of use."""
    for said in judged(episode, attempt):
        drop = inconsistency(said.critique, correct=attempt.correct is True)
        if drop is None and not attempt.correct:
            if said.utility is None:
                drop = Drop("nobody refined with it")
            elif said.utility < setting.options.real("tau"):
                drop = Drop("too few refinements come out right")
        columns: Columns = {
            "prompt": setting.words.judge(episode.problem, solution),
            "completion": setting.words.remarks(episode.problem, solution, said.critique),
            "attempt_correct": attempt.correct is True,
            "critic": said.critic,
        }
        yield drop or Row(columns=columns, attempts=said.trials, filters=("verdict agrees", "of use", "distinct"))


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    return even_sides(rows, setting, lambda row: row.columns["attempt_correct"] is True)


def _settings(rows: Sequence[Columns]) -> Columns:
    return {} if any("completion" in row for row in rows) else {"num_generations": 8}


RECIPE = Recipe(
    name="refcritic",
    paper="Tang et al. 2025, arXiv:2507.15024",
    summary="critic: attempts to be judged, rewarded for verdict and refinements; or a cold start",
    forms={
        "grpo": Form(dataset="prompt-only", trainer="GRPOTrainer"),
        "sft": Form(dataset="prompt-completion", trainer="SFTTrainer"),
    },
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt"}),
    templates=CRITIC_TEMPLATES,
    needs=(scored(), replace(refined(), when=("form", "sft"))),
    options=(
        number("tau", 0.5, "Refinements that come out right, as a share, at least; for form=sft.", low=0, high=1),
        integer("cap", 4, "Right attempts per problem at most, and wrong ones."),
        RATIO,
    ),
    arrange=_arrange,
    trainer_settings=_settings,
    conditions={"lambda": 1.0, "k": 8},
)
