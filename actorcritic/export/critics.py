"""What recipes for critics share: every critique of an attempt with what refiners made of it, and even sides.

A critique is worth what an actor makes of it: `utility` is the share of refinements with it that come out right, each
refining model counted alike, so that the actor has to be the same in all that is compared. Pure; knows no recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from actorcritic.export.chat import critique_text
from actorcritic.export.needs import derived
from actorcritic.export.reading import collected, helped, judgements, read_text, refusal, reward_columns
from actorcritic.export.recipe import Columns, Drop, Need, Result, Row, Setting
from actorcritic.search.options import number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Critique, Solution, Verdict

__all__ = [
    "RATIO",
    "Judged",
    "Refined",
    "Refinement",
    "even_sides",
    "first_attempts",
    "inconsistency",
    "judged",
    "judging_columns",
    "known_attempts",
    "refined",
    "unclear_steps",
]

RATIO = number("ratio", 2.0, "The more frequent verdict stands at most so many times as often as the other.", low=1)
"""The option of a recipe that thins out its rows with `even_sides`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A critique of an attempt, and how refinements with it came out."""

    critic: str
    critique: Critique
    trials: tuple[int, ...]
    """The attempt, the trial in which the critique was said, and the refinements that are trials of their own."""
    outcomes: tuple[tuple[str, bool], ...] = ()
    """Who refined, and whether the refinement is right; refinements that nobody checked are left out."""

    @property
    def right(self) -> int:
        """How many refinements are right."""
        return sum(correct for _, correct in self.outcomes)

    @property
    def utility(self) -> float | None:
        """Share of right refinements, in [0, 1], the mean over refining models; None where nobody refined."""
        by_actor: dict[str, list[bool]] = {}
        for actor, correct in self.outcomes:
            by_actor.setdefault(actor, []).append(correct)
        return fmean(fmean(flags) for flags in by_actor.values()) if by_actor else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """A refinement as the collection step `refine` writes one."""

    solution: Solution
    correct: bool | None = None
    incorporates: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """Payload of the collection step `refine`."""

    critique: Critique
    critic: str = "critic"
    actor: str = "actor"
    refinements: tuple[Refinement, ...] = ()


def known_attempts(episode: Episode) -> Iterator[tuple[EpisodeAttempt, Solution] | Drop]:
    """Yield the attempts of which it is known whether they are right, each text once, and why others are left out."""
    seen: set[str] = set()
    for attempt in episode.attempts:
        if attempt.action is Action.JUDGE:
            continue
        drop, solution = refusal(attempt), attempt.solution
        if drop is not None or solution is None or not solution.steps:
            yield drop or Drop("failed or cancelled")
        elif solution.text in seen:
            yield Drop("same as another attempt of its problem")
        else:
            seen.add(solution.text)
            yield attempt, solution


def judged(episode: Episode, attempt: EpisodeAttempt) -> list[Judged]:
    """Return all critiques of an attempt in the order of the log, each text once, with what came of each."""
    solution = attempt.solution
    if solution is None:
        return []
    found: dict[str, Judged] = {}
    for said in judgements(episode, attempt):
        trials = tuple(dict.fromkeys((attempt.id, said.trial)))
        one = Judged(critic=said.critic, critique=said.critique, trials=trials)
        found.setdefault(critique_text(solution, said.critique), one)
    if attempt.critique is not None:
        key = critique_text(solution, attempt.critique)
        found[key] = _with_children(episode, attempt, found[key])
    for trial, made in collected(episode, "refine", Refined):
        if trial == attempt.id:
            key = critique_text(solution, made.critique)
            one = found.get(key) or Judged(critic=made.critic, critique=made.critique, trials=(attempt.id,))
            outcomes = [(made.actor, item.correct) for item in made.refinements if item.correct is not None]
            found[key] = replace(one, outcomes=(*one.outcomes, *outcomes))
    return list(found.values())


def _with_children(episode: Episode, attempt: EpisodeAttempt, one: Judged) -> Judged:
    """Add the refinements of the run itself, which had the attempt's own critique before them."""
    for child in episode.children(attempt.id):
        if child.action in (Action.REVISE, Action.REFINE) and child.complete and child.correct is not None:
            actor = next((call.model for call in child.calls if call.role == "actor"), "actor")
            trials = (*one.trials, child.id)
            one = replace(one, trials=trials, outcomes=(*one.outcomes, (actor, child.correct)))
    return one


def first_attempts(episode: Episode, cap: int) -> Iterator[tuple[EpisodeAttempt, Solution] | Drop]:
    """Yield at most `cap` right and `cap` wrong attempts that nobody helped, and why others are left out."""
    taken = {True: 0, False: 0}
    for known in known_attempts(episode):
        if isinstance(known, Drop):
            yield known
        elif helped(episode, known[0]):
            yield Drop("written after a critique")
        elif taken[known[0].correct is True] >= cap:
            yield Drop("over the cap of its problem and label")
        else:
            taken[known[0].correct is True] += 1
            yield known


def judging_columns(episode: Episode, attempt: EpisodeAttempt, solution: Solution, setting: Setting) -> Columns:
    """Return the columns of a question for a critic: its prompt, and what its rewards are made from."""
    return {
        "prompt": setting.words.judge(episode.problem, solution),
        "attempt": read_text(solution, setting),
        "attempt_correct": attempt.correct is True,
        **reward_columns(episode),
    }


def inconsistency(critique: Critique, *, correct: bool) -> Drop | None:
    """Return why a critique contradicts what is known of its solution or itself, None if it does neither."""
    if critique.verdict is Verdict.UNSCORED:
        return Drop("critique without a readable verdict")
    if (critique.verdict is Verdict.CORRECT) != correct:
        return Drop("verdict contradicts the gold side")
    if correct and critique.first_error is not None:
        return Drop("calls the solution right and a step wrong")
    return None


def unclear_steps(critique: Critique, solution: Solution) -> Drop | None:
    """Return why a critique does not judge its solution step by step, None if it does, up to the first wrong one."""
    shown = [index for index, step in enumerate(solution.steps) if not step.thinking]
    if critique.verdict is Verdict.INCORRECT:
        if critique.first_error is None:
            return Drop("calls the solution wrong and no step")
        shown = [index for index in shown if index <= (critique.first_error or 0)]
    verdicts = [critique.steps[index].verdict for index in shown if index < len(critique.steps)]
    if len(verdicts) < len(shown) or Verdict.UNSCORED in verdicts:
        return Drop("steps without a verdict")
    return None


def even_sides(rows: Sequence[Row], setting: Setting, side: Callable[[Row], bool]) -> Iterable[Result]:
    """Yield the rows in their order, of the more frequent side only so many as the option `ratio` allows."""
    sides: dict[bool, list[int]] = {True: [], False: []}
    for index, row in enumerate(rows):
        sides[side(row)].append(index)
    larger, smaller = sorted(sides.values(), key=len, reverse=True)
    room = int(setting.options.real("ratio") * len(smaller))
    # With one side alone there is nothing to be even with.
    kept = set(larger if not smaller or len(larger) <= room else setting.draw("even").sample(larger, room))
    kept.update(smaller)
    for index, row in enumerate(rows):
        yield row if index in kept else Drop("thinned out: too many with its verdict")


def refined() -> Need:
    """Return the need of refinements with critiques, from the run or collected afterwards."""
    return Need(
        what="attempts refined after a critique",
        found=_is_refined,
        collect="actorcritic collect --from RUN --step refine",
    )


def _is_refined(episode: Episode) -> bool:
    revised = any(attempt.action in (Action.REVISE, Action.REFINE) for attempt in episode.attempts)
    return revised or derived("refine").found(episode)
