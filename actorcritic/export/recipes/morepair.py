"""MORepair: mend a wrong solution, and mend it after an explanation, as two objectives with weights.

Yang et al. 2024 (arXiv 2404.12636), program repair; here any solution with a right refinement. Both rows of a repair
show the wrong solution; one is answered by the mended solution alone, the other by the explanation and then that
solution. A row's `weight` is its objective's. The explanation is a model's (collection step `explain-repair`) or the
critique that the refinement was made with. Deviation: TRL's trainer has no weight per row; by default both weigh the
same, so that nothing is lost there, and the column is for a loss of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from actorcritic.export.chat import assistant, critique_text, mentions_help, solution_text, user
from actorcritic.export.critics import refined
from actorcritic.export.needs import critiqued, derived, scored
from actorcritic.export.reading import collected, refusal
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, integer, number
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Verdict

__all__ = ["RECIPE"]

PLAIN, GUIDED = "export_morepair", "export_morepair_guided"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained:
    """Payload of the collection step `explain-repair`."""

    explanation: str


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield both rows of every repair of a problem, at most `cap` of them."""
    explained = dict(collected(episode, "explain-repair", _Explained))
    seen: set[tuple[str, str]] = set()
    for mended in episode.attempts:
        if mended.action not in (Action.REVISE, Action.REFINE) or mended.parent is None:
            continue
        wrong = episode.attempt(mended.parent)
        drop = _refusal(wrong, mended)
        if drop is not None:
            yield drop
            continue
        key = (_text(wrong), _text(mended))
        if key in seen or len(seen) >= setting.options.whole("cap"):
            yield Drop("same repair twice" if key in seen else "over the cap of its problem")
            continue
        if setting.options.text("guidance") == "explained":
            guidance = explained[mended.id].explanation.strip() if mended.id in explained else ""
        else:
            guidance = _critique(wrong)
        if not guidance:
            yield Drop("no explanation")
            continue
        seen.add(key)
        yield from _pair(episode, wrong, mended, guidance, setting)


def _refusal(wrong: EpisodeAttempt, mended: EpisodeAttempt) -> Drop | None:
    """Return why a refinement is no repair, None if it is one."""
    drop = refusal(wrong) or refusal(mended)
    if drop is not None:
        return drop
    if wrong.correct:
        return Drop("right already")
    if not mended.correct:
        return Drop("refinement is wrong")
    return Drop("speaks of help that the prompt does not hold") if mentions_help(_text(mended)) else None


def _text(attempt: EpisodeAttempt) -> str:
    return "" if attempt.solution is None else solution_text(attempt.solution)


def _critique(wrong: EpisodeAttempt) -> str:
    """Return what the critic said of a wrong solution; nothing where it did not call it wrong."""
    if wrong.solution is None or wrong.critique is None or wrong.critique.verdict is not Verdict.INCORRECT:
        return ""
    return critique_text(wrong.solution, wrong.critique)


def _pair(
    episode: Episode, wrong: EpisodeAttempt, mended: EpisodeAttempt, guidance: str, setting: Setting
) -> Iterator[Row]:
    share = setting.options.real("weight")
    for template, answer, weight in (
        (PLAIN, _text(mended), 1 - share),
        (GUIDED, f"{guidance}\n\n{_text(mended)}", share),
    ):
        prompt = load_template(template).fill(question=episode.problem.text, solution=quote(_text(wrong), "solution"))
        columns: Columns = {
            "prompt": user(prompt),
            "completion": assistant(answer),
            "objective": "repair" if template == PLAIN else "guided repair",
            "weight": weight,
        }
        yield Row(columns=columns, attempts=(wrong.id, mended.id), filters=("wrong before", "right after", "distinct"))


RECIPE = Recipe(
    name="morepair",
    paper="Yang et al. 2024, arXiv:2404.12636",
    summary="mend a wrong solution: at once, and after an explanation, with a weight for each",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    shows=frozenset({"attempt"}),
    templates=(PLAIN, GUIDED),
    needs=(
        scored(),
        refined(),
        replace(derived("explain-repair"), when=("guidance", "explained")),
        replace(critiqued(), when=("guidance", "critique")),
    ),
    options=(
        choice(
            "guidance", ("explained", "critique"), "Where explanations come from: collected, or the run's critiques."
        ),
        number("weight", 0.5, "Of the rows with an explanation; the others get the rest.", low=0, high=1),
        integer("cap", 4, "Repairs per problem at most."),
    ),
)
