"""Critique-RL: first attempts of a frozen actor to be judged, by reinforcement with no stronger teacher.

Xi et al. 2025 (arXiv 2510.24320). Stage 1 rewards a verdict that agrees with `attempt_correct`; stage 2 what the frozen
actor makes of the critique (`reward`: right or not, the change, or mended and kept right), with -1 for a verdict
that is wrong or missing, starting from and held to the model of stage 1. The critic's format is the paper's, which this
library asks for at inference. A row names the actor, the checker and the gold answer in columns that no model reads.
Deviation: the mix of right and wrong attempts is the option `ratio`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from actorcritic.export.chat import CRITIC_TEMPLATES
from actorcritic.export.critics import RATIO, even_sides, first_attempts, judging_columns
from actorcritic.export.needs import scored
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer
from actorcritic.trajectory.episodes import Episode

__all__ = ["RECIPE"]


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the first attempts of a problem, each as a question to the critic."""
    for known in first_attempts(episode, setting.options.whole("cap")):
        if isinstance(known, Drop):
            yield known
            continue
        attempt, solution = known
        calls = [call.model for call in attempt.calls if call.role == "actor"]
        models = [*calls, *(origin.model for origin in episode.provenance.models if origin.role == "actor")]
        columns: Columns = {
            **judging_columns(episode, attempt, solution, setting),
            "actor": next((model for model in models if model), ""),
            "stage": int(setting.options.text("stage")),
            "reward": setting.options.text("reward") if setting.options.text("stage") == "2" else "verdict",
        }
        yield Row(columns=columns, attempts=(attempt.id,), filters=("first attempt", "correctness known", "distinct"))


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    return even_sides(rows, setting, lambda row: row.columns["attempt_correct"] is True)


RECIPE = Recipe(
    name="critique-rl",
    paper="Xi et al. 2025, arXiv:2510.24320",
    summary="critic: attempts to be judged, with what rewards of two stages need",
    forms={"rloo": Form(dataset="prompt-only", trainer="RLOOTrainer")},
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt"}),
    templates=CRITIC_TEMPLATES,
    needs=(scored(),),
    options=(
        choice("stage", ("1", "2"), "1 = learn to judge; 2 = learn to help, from the model of stage 1."),
        choice("reward", ("refine", "delta", "correct"), "In stage 2, what the refinement is worth."),
        integer("cap", 4, "Right attempts per problem at most, and wrong ones."),
        RATIO,
    ),
    arrange=_arrange,
    trainer_settings=lambda rows: {"num_generations": 4, "beta": 0.01, "num_iterations": 2, "temperature": 0.7},
    conditions={"refinement_temperature": 0.0},
)
