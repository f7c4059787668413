"""CCT: mend what is wrong and confirm what is right, both learnt together.

Yang et al. 2024 (arXiv 2412.19513): a model needs the confidence to keep a right answer and the critique to change a
wrong one. A row shows the model's own answer and asks for a check; where it is wrong the completion says so and is a
right solution of the problem, where it is right the completion says so and is that answer again.
Deviations: the words of both verdicts are ours; the right solution is a refinement of that very answer, with
`target=any` else another right attempt, else the gold solution; both kinds are held in balance (`ratio`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from actorcritic.export.chat import assistant, mentions_help, solution_text, user
from actorcritic.export.critics import RATIO, Refined, even_sides, first_attempts
from actorcritic.export.needs import scored
from actorcritic.export.reading import collected
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, integer
from actorcritic.templates import load_template
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Solution

__all__ = ["CONFIRM", "FIX", "RECIPE"]

TEMPLATE = "export_cct"
CONFIRM, FIX = "The solution above is right.", "The solution above is wrong."


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the first attempts of a problem, each with its confirmation or correction."""
    for known in first_attempts(episode, setting.options.whole("cap")):
        if isinstance(known, Drop):
            yield known
            continue
        attempt, solution = known
        text = solution_text(solution)
        if attempt.correct:
            yield _row(episode, (attempt.id,), text, text, setting)
            continue
        target = next((t for t in _targets(episode, attempt, setting) if not mentions_help(t[1])), None)
        if target is None:
            yield Drop("no right solution to put in its place")
        else:
            trials = (attempt.id,) if target[0] is None else (attempt.id, target[0])
            yield _row(episode, trials, text, target[1], setting)


def _targets(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> Iterator[tuple[int | None, str]]:
    """Yield what a wrong answer may be mended to, the nearest first, with the trial that it is."""
    for child in episode.children(attempt.id):
        if child.action in (Action.REVISE, Action.REFINE) and child.complete and child.correct:
            yield child.id, _text(child.solution)
    for trial, made in collected(episode, "refine", Refined):
        if trial == attempt.id:
            yield from (
                (None, solution_text(r.solution)) for r in made.refinements if r.correct and r.solution.complete
            )
    if setting.options.text("target") == "refinement":
        return
    for other in episode.attempts:
        if other.action is Action.PROPOSE and other.complete and other.correct:
            yield other.id, _text(other.solution)
    if episode.gold is not None and episode.gold.solution:
        yield None, episode.gold.solution.strip()


def _text(solution: Solution | None) -> str:
    return "" if solution is None else solution_text(solution)


def _row(episode: Episode, trials: tuple[int, ...], shown: str, target: str, setting: Setting) -> Row:
    words = CONFIRM if shown == target else FIX
    return Row(
        columns={
            "prompt": [*setting.prompt(episode.problem), *assistant(shown), *user(load_template(TEMPLATE).text)],
            "completion": assistant(f"{words}\n\n{target}"),
            "kind": "confirm" if shown == target else "fix",
        },
        attempts=trials,
        filters=("correctness known", "target right", "distinct"),
    )


def _arrange(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    return even_sides(rows, setting, lambda row: row.columns["kind"] == "confirm")


RECIPE = Recipe(
    name="cct",
    paper="Yang et al. 2024, arXiv:2412.19513",
    summary="check an answer: confirm a right one, mend a wrong one",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    shows=frozenset({"attempt"}),
    templates=(TEMPLATE,),
    needs=(scored(),),
    options=(
        choice("target", ("any", "refinement"), "What a wrong answer is mended to; refinement = of that answer alone."),
        integer("cap", 4, "Right answers per problem at most, and wrong ones."),
        RATIO,
    ),
    arrange=_arrange,
)
