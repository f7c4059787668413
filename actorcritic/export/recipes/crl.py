"""CRL: questions of which a part asks for a judgement of a logged solution in place of a new one.

Critique-Coder (Ruan et al. 2025, arXiv 2509.22824). Rows are tagged `gen` or `crl`; `crl` ones take the place of the
others, so that the total stays what it is and no problem stands in both tasks. A `gen` row is rewarded by the task's
checker, a `crl` row by whether its conclusion is `label`: True where the solution is right. One model does both.
Deviations: both labels are taken equally often as far as there are solutions; problems whose attempts are all right or
all wrong are trivial to judge and left to `gen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from actorcritic.export.chat import solution_text, user
from actorcritic.export.critics import first_attempts
from actorcritic.export.needs import scored
from actorcritic.export.reading import reward_columns
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, number
from actorcritic.tasks.checkers import has_gold
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Reference, Solution

__all__ = ["RECIPE"]

TEMPLATE = "export_crl"
GENERATE, CRITIQUE = "gen", "crl"
LABELS: tuple[str, ...] = ("True", "False")


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's question, and at most one right and one wrong solution to be judged."""
    gold = Reference() if episode.gold is None else episode.gold
    if not has_gold(episode.problem, gold):
        yield Drop("problem without a gold side")
        return
    known: list[tuple[EpisodeAttempt, Solution]] = []
    for item in first_attempts(episode, cap=len(episode.attempts)):
        if isinstance(item, Drop):
            yield item
        else:
            known.append(item)
    if not known:
        yield Drop("problem without an attempt that is known to be right or wrong")
        return
    columns: Columns = {
        "prompt": setting.prompt(episode.problem),
        "task": GENERATE,
        "label": "",
        **reward_columns(episode),
    }
    yield Row(columns=columns, attempts=(known[0][0].id,), filters=("gold side known",))
    sides = [[item for item in known if item[0].correct is correct] for correct in (True, False)]
    if not all(sides) and len(known) > 1 and setting.options.text("trivial") == "dropped":
        yield Drop("trivial to judge")
        return
    for label, side in zip(LABELS, sides, strict=True):
        if side:
            yield _question(episode, *setting.draw(episode.problem.id, label).choice(side), label)


def _question(episode: Episode, attempt: EpisodeAttempt, solution: Solution, label: str) -> Row:
    prompt = load_template(TEMPLATE).fill(
        question=quote(episode.problem.text, "problem"), solution=quote(solution_text(solution), "solution")
    )
    columns: Columns = {"prompt": user(prompt), "task": CRITIQUE, "label": label, **reward_columns(episode)}
    return Row(columns=columns, attempts=(attempt.id,), filters=("gold side known", "correctness known"))


def _mix(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    """Yield one row per problem, `share` of them judgements with both labels equally often."""
    problems = {row.problem for row in rows}
    judging = [row for row in rows if row.columns["task"] == CRITIQUE]
    setting.draw("mix").shuffle(judging)
    pools = {label: [row for row in judging if row.columns["label"] == label] for label in LABELS}
    room = int(setting.options.real("share") * len(problems) + 0.5)
    chosen: dict[str, Row] = {}
    counts: dict[str, int] = dict.fromkeys(LABELS, 0)
    while len(chosen) < room and any(pools.values()):
        # The label that is rarer so far, of those that are left.
        label = min((label for label in LABELS if pools[label]), key=lambda label: counts[label])
        row = pools[label].pop()
        counts[label] += row.problem not in chosen
        chosen.setdefault(row.problem, row)
    for row in rows:
        wanted = chosen.get(row.problem)
        kept = row is wanted if wanted is not None else row.columns["task"] == GENERATE
        yield row if kept else Drop(f"problem stands in the other task than {row.columns['task']}")


RECIPE = Recipe(
    name="crl",
    paper="Ruan et al. 2025, arXiv:2509.22824",
    summary="questions, a part of which ask to judge a solution, with what rewards need",
    forms={"grpo": Form(dataset="prompt-only", trainer="GRPOTrainer")},
    rows=_rows,
    shows=frozenset({"attempt"}),
    templates=(TEMPLATE,),
    needs=(scored(),),
    options=(
        number("share", 0.2, "Judgements among all rows.", low=0, high=1),
        choice("trivial", ("dropped", "kept"), "Judgements where all attempts of the problem are right, or all wrong."),
    ),
    arrange=_mix,
    trainer_settings=lambda rows: {
        "beta": 0.0,
        "epsilon_high": 0.3,
        "loss_type": "dapo",
        "mask_truncated_completions": True,
        "num_generations": 8,
        "temperature": 0.6,
        "top_p": 0.95,
    },
)
