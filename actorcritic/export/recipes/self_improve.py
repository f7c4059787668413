"""What the actor learns from in a round of self-improvement, with the critique in the loop or without it.

Xi et al. 2024 (arXiv 2411.16579), Algorithm 1. `form=actor`: the right first attempts of the round and, with
`sources=all`, the right refinements of its wrong ones, attempt and critique left out of the row (`sources=own` is
vanilla self-improvement, the control). `form=refinement`: (question, attempt, critique) to refinement, from which the
actor keeps the skill to follow a critique. `form=reasoning`: the worked solutions of the problem file. The released
code keeps `reserve` right refinements per critique and rejects those that jump to the answer (`barrier`).
Deviation: equal solutions of a problem make one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from actorcritic.export.chat import mentions_help
from actorcritic.export.critics import Refined, refined
from actorcritic.export.exclusion import PASSES, heldout_state
from actorcritic.export.needs import scored
from actorcritic.export.reading import collected, helped, read_text, refusal
from actorcritic.export.recipe import Columns, Drop, Form, Need, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Critique, Solution

__all__ = ["RECIPE", "is_shortcut"]

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refinement:
    """A right refinement of a wrong attempt."""

    attempt: EpisodeAttempt
    critique: Critique
    solution: Solution
    trials: tuple[int, ...]


def is_shortcut(refinement: str, attempt: str, worked: str | None, slack: int) -> bool:
    """Return whether a refinement jumps to the answer: it has too few numbers for the work that it stands for.

    Args:
        refinement: As a person reads it, like the others.
        attempt: The wrong attempt that it replaces.
        worked: The gold solution; None = there is none.
        slack: It may have so many numbers fewer than the shorter of the two.
    """
    counts = [len(_NUMBER.findall(text)) for text in (attempt, worked) if text is not None]
    return len(_NUMBER.findall(refinement)) < min(counts) - slack


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's rows of the form that is asked for, each text once."""
    makers = {"actor": _attempts, "refinement": _followed, "reasoning": _worked}
    seen: set[str] = set()
    for result in makers[setting.form](episode, setting):
        if isinstance(result, Row):
            text = str((result.columns["prompt"], result.columns["completion"]))
            if text in seen:
                yield Drop("same as another row of its problem")
                continue
            seen.add(text)
        yield result


def _attempts(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the right attempts as answers to the question alone."""
    words, problem = setting.words, episode.problem
    cap, kept = setting.options.maybe_whole("cap"), 0
    for attempt in _first_attempts(episode):
        refused = refusal(attempt)
        if refused is not None or not attempt.correct or attempt.solution is None:
            yield refused or Drop("wrong")
        elif cap is not None and kept >= cap:
            yield Drop("over the cap of its problem")
        else:
            kept += 1
            columns = {"prompt": words.ask(problem), "completion": words.answer(problem, attempt.solution)}
            yield Row(columns={**columns, "source": "attempt"}, attempts=(attempt.id,), filters=("correct", "distinct"))
    for found in _refinements(episode, setting) if setting.options.text("sources") == "all" else ():
        if isinstance(found, Drop):
            yield found
            continue
        columns = {"prompt": words.ask(problem), "completion": words.answer(problem, found.solution)}
        filters = ("correct", "distinct", "no shortcut")
        yield Row(columns={**columns, "source": "refinement"}, attempts=found.trials, filters=filters)


def _followed(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the right refinements as answers to question, attempt and critique."""
    for found in _refinements(episode, setting):
        if isinstance(found, Drop):
            yield found
            continue
        words, wrong, right = setting.words, found.attempt.solution, found.solution
        assert wrong is not None  # it was refined
        columns: Columns = {
            "prompt": words.rewrite(episode.problem, wrong, found.critique, right.kept),
            "completion": words.answer(episode.problem, right, right.kept),
            "source": "refinement",
        }
        yield Row(columns=columns, attempts=found.trials, filters=("correct", "distinct", "no shortcut"))


def _worked(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the worked solution of the problem file."""
    text = _gold(episode)
    attempt = next(iter(episode.attempts), None)
    if not text or attempt is None:
        yield Drop("no worked solution")
        return
    words = setting.words
    columns = {"prompt": words.ask(episode.problem), "completion": words.worked(episode.problem, text)}
    yield Row(columns={**columns, "source": "worked"}, attempts=(attempt.id,), filters=("gold",))


def _first_attempts(episode: Episode) -> Iterator[EpisodeAttempt]:
    for attempt in episode.attempts:
        if attempt.action is not Action.JUDGE and not helped(episode, attempt):
            yield attempt


def _refinements(episode: Episode, setting: Setting) -> Iterator[_Refinement | Drop]:
    """Yield the right refinements of wrong first attempts, at most `reserve` per critique."""
    for attempt in _first_attempts(episode):
        if attempt.correct is not False or attempt.solution is None:
            continue
        for critique, candidates in _lots(episode, attempt):
            kept = 0
            for solution, correct, trials in candidates:
                drop = _rejection(episode, attempt.solution, solution, setting, correct=correct)
                if drop is None and kept >= setting.options.whole("reserve"):
                    drop = Drop("over the reserve of its critique")
                kept += drop is None
                yield drop or _Refinement(attempt=attempt, critique=critique, solution=solution, trials=trials)


_Candidate = tuple[Solution, bool | None, tuple[int, ...]]
"""A refinement, whether it is right, and the trials that it is made of."""


def _lots(episode: Episode, attempt: EpisodeAttempt) -> Iterator[tuple[Critique, list[_Candidate]]]:
    """Yield each critique of an attempt with what was made of it: in the run itself, and collected afterwards."""
    children = [
        (child.solution, child.correct, (attempt.id, child.id))
        for child in episode.children(attempt.id)
        if child.action in (Action.REVISE, Action.REFINE) and child.solution is not None
    ]
    if attempt.critique is not None and children:
        yield attempt.critique, list[_Candidate](children)
    for trial, made in collected(episode, "refine", Refined):
        if trial == attempt.id:
            yield made.critique, [(item.solution, item.correct, (attempt.id,)) for item in made.refinements]


def _rejection(
    episode: Episode, wrong: Solution, solution: Solution, setting: Setting, *, correct: bool | None
) -> Drop | None:
    """Return why a refinement is none to learn from, None if it is one."""
    if not solution.complete:
        return Drop("unfinished refinement")
    if not correct:
        return Drop("wrong refinement")
    text = read_text(solution, setting)
    if mentions_help(text):
        return Drop("speaks of help that the prompt does not hold")
    if is_shortcut(text, read_text(wrong, setting), _gold(episode), setting.options.whole("barrier")):
        return Drop("shortcut to the answer")
    split = heldout_state(episode.problem, solution)
    return None if split is None else Drop(PASSES.format(split))


def _gold(episode: Episode) -> str | None:
    return None if episode.gold is None else episode.gold.solution


RECIPE = Recipe(
    name="self-improve",
    paper="Xi et al. 2024, arXiv:2411.16579",
    summary="self-improvement: right attempts, and right refinements of wrong ones without the critique",
    forms={
        "actor": Form(dataset="prompt-completion", trainer="SFTTrainer"),
        "refinement": Form(dataset="prompt-completion", trainer="SFTTrainer"),
        "reasoning": Form(dataset="prompt-completion", trainer="SFTTrainer"),
    },
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt", "critique", "derived"}),
    shows_when=dict.fromkeys(("attempt", "critique", "derived"), ("form", "refinement")),
    templates=("actor_refine", "actor_revise"),
    needs=(
        scored(),
        replace(refined(), when=("form", "refinement")),
        Need(
            what="worked solutions",
            found=lambda episode: bool(_gold(episode)),
            collect="actorcritic collect --problems FILE, with a `solution` in each problem,",
            when=("form", "reasoning"),
        ),
    ),
    options=(
        choice("sources", ("all", "own"), "Of form=actor: own = without refinements (vanilla self-improvement)."),
        integer("cap", None, "Right first attempts per problem at most."),
        integer("reserve", 1, "Right refinements per critique at most."),
        integer("barrier", 2, "Numbers that a refinement may have fewer than attempt and worked solution.", low=0),
    ),
)
