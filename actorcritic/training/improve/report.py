"""From evaluations to the table: accuracy with intervals, pass@5, majority@5, by difficulty, alone and with the critic.

One row per round and method, alone and with the critic; several seeds of a round are one row. Pure; prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from actorcritic.metrics import mean_interval, paired_difference
from actorcritic.training.improve.outcomes import QUINTILES, Answered, Measured
from actorcritic.training.improve.plan import BASE, METHODS

__all__ = ["Comparison", "Cost", "ImproveReport", "ImproveRow", "Quintile", "Round", "summarize"]

SIDES = (False, True)
"""Alone, and with the critic."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quintile(_Record):
    """The problems of one fifth by difficulty."""

    quintile: int
    """1 = those that the base solves most often, 5 = least often."""
    problems: int
    base_rate: float
    """Share of right samples of the base, from which the fifths are made."""
    accuracy: float
    ci_low: float
    ci_high: float
    pass_at_5: float


class Cost(_Record):
    """What a model took to make, its predecessors' exploration included."""

    explore_tokens: int = 0
    """Logical tokens of samples, critiques and refinements, all roles."""
    train_rows: int = 0
    """Rows of its own training."""
    train_tokens: int = 0
    """Read in its own training."""
    train_seconds: float = 0.0


class ImproveRow(_Record):
    """One round of one method, alone or with the critic."""

    round: int
    """0 for the base and `sft`."""
    method: str
    with_critic: bool
    accuracy: float
    """Of greedy answers."""
    ci_low: float
    ci_high: float
    pass_at_5: float
    """Problems of which at least one of five samples is right."""
    majority_at_5: float
    by_quintile: list[Quintile]
    tokens: float
    """Logical tokens of one greedy answer, mean over problems, all roles."""
    seeds: list[int]
    development: float
    """Share of right samples on the development problems, by which a round is promoted."""
    promoted: bool
    """False = worse than before on the development problems: no further round explored with it."""
    cost: Cost


class Comparison(_Record):
    """Two methods at their last rounds, on the same problems."""

    first: str
    second: str
    with_critic: bool
    difference: float
    """Greedy accuracy of the first minus that of the second."""
    ci_low: float
    ci_high: float
    by_quintile: list[float]
    """The difference by fifth, the easiest first."""


class ImproveReport(_Record):
    """What `improve --json` prints."""

    task: str
    rounds: int
    methods: list[str]
    seeds: list[int]
    """Of the last round; those before it, the base and exploration have the first alone."""
    train_problems: int
    development_problems: int
    problems: int
    """Held out, on which every row is measured."""
    actor: str
    critic: str
    rows: list[ImproveRow]
    paired: list[Comparison]
    models: dict[str, str]
    """By method, the spec of the last model that was promoted."""
    without_rows: dict[str, dict[str, int]] = Field(default_factory=dict[str, dict[str, int]])
    """Rounds that had no row to learn from, with what was dropped by reason; they have no entry in `rows`."""
    seconds: float
    """Of all stages, in all processes that took part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A round of a method, as far as it is measured."""

    method: str
    round: int
    measured: Mapping[int, Measured]
    """By seed; at least one."""
    cost: Cost

    def sides(self, *, with_critic: bool) -> dict[str, list[Answered]]:
        """Return what was found of every problem, one entry per seed."""
        found: dict[str, list[Answered]] = {}
        for measured in self.measured.values():
            for outcome in measured.outcomes:
                found.setdefault(outcome.problem, []).append(outcome.critic if with_critic else outcome.alone)
        return found


def summarize(
    rounds: Sequence[Round], levels: Mapping[str, int], base_rates: Mapping[str, float]
) -> tuple[list[ImproveRow], list[Comparison]]:
    """Return the rows of all rounds and the comparisons of the last ones.

    Args:
        rounds: In the order in which they are to be shown.
        levels: By problem, its fifth.
        base_rates: By problem, the share of right samples of the base.
    """
    rows = [_row(each, levels, base_rates, with_critic=side) for each in rounds for side in SIDES]
    # Of a run that was stopped: the last round that all methods with rounds have come to.
    reached = [max(each.round for each in rounds if each.method == one.method) for one in rounds if one.round]
    last = {each.method: each for each in rounds if each.round <= min(reached, default=0)}
    order = [name for name in (*reversed([*METHODS]), BASE) if name in last and name != "critic"]
    pairs = [(first, second, side) for i, first in enumerate(order) for second in order[i + 1 :] for side in SIDES]
    if "critic" in last:
        # Alone, its actor is that of the other, which stays.
        pairs += [("critic", name, True) for name in ("sft", BASE) if name in last][:1]
    paired = [_comparison(last[first], last[second], levels, with_critic=side) for first, second, side in pairs]
    return rows, paired


def _row(one: Round, levels: Mapping[str, int], base_rates: Mapping[str, float], *, with_critic: bool) -> ImproveRow:
    found = one.sides(with_critic=with_critic)
    accuracy, low, high = _accuracy(list(found.values()))
    every = [answer for answers in found.values() for answer in answers]
    fifths: list[Quintile] = []
    for level in range(1, QUINTILES + 1):
        members = {problem: answers for problem, answers in found.items() if levels[problem] == level}
        if members:
            fifths.append(_quintile(level, members, base_rates))
    return ImproveRow(
        round=one.round,
        method=one.method,
        with_critic=with_critic,
        accuracy=accuracy,
        ci_low=low,
        ci_high=high,
        pass_at_5=_short(fmean(any(answer.samples) for answer in every)),
        majority_at_5=_short(fmean(answer.majority for answer in every)),
        by_quintile=fifths,
        tokens=_short(fmean(answer.tokens for answer in every)),
        seeds=sorted(one.measured),
        development=_short(fmean(measured.development for measured in one.measured.values())),
        promoted=all(measured.promoted for measured in one.measured.values()),
        cost=one.cost,
    )


def _quintile(level: int, members: Mapping[str, Sequence[Answered]], base_rates: Mapping[str, float]) -> Quintile:
    accuracy, low, high = _accuracy(list(members.values()))
    return Quintile(
        quintile=level,
        problems=len(members),
        base_rate=_short(fmean(base_rates[problem] for problem in members)),
        accuracy=accuracy,
        ci_low=low,
        ci_high=high,
        pass_at_5=_short(fmean(any(answer.samples) for answers in members.values() for answer in answers)),
    )


def _accuracy(answers: Sequence[Sequence[Answered]]) -> tuple[float, float, float]:
    """Return the accuracy and its interval, seeds of one problem not counted as so many problems."""
    rates = [_rate(each) for each in answers]
    interval = mean_interval(rates, max(map(len, answers)))
    return _short(fmean(rates)), _short(interval.low), _short(interval.high)


def _rate(answers: Sequence[Answered]) -> float:
    return fmean(answer.right for answer in answers)


def _comparison(first: Round, second: Round, levels: Mapping[str, int], *, with_critic: bool) -> Comparison:
    one, other = first.sides(with_critic=with_critic), second.sides(with_critic=with_critic)
    problems = [problem for problem in one if problem in other]
    rates = {problem: (_rate(one[problem]), _rate(other[problem])) for problem in problems}
    found = paired_difference([a for a, _ in rates.values()], [b for _, b in rates.values()])
    gains: list[list[float]] = [[] for _ in range(QUINTILES)]
    for problem, (a, b) in rates.items():
        gains[levels[problem] - 1].append(a - b)
    return Comparison(
        first=first.method,
        second=second.method,
        with_critic=with_critic,
        difference=_short(found.value),
        ci_low=_short(found.low),
        ci_high=_short(found.high),
        by_quintile=[_short(fmean(values)) if values else 0.0 for values in gains],
    )


def _short(value: float) -> float:
    """Return a figure without the digits that mean nothing."""
    return round(value, 6)
