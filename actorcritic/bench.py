"""Comparisons at equal tokens: which strategies run, and what their rows add up to.

Pure: from texts to contestants, and from one record per problem to the object that `bench --json` prints. Runs nothing
and knows no model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from actorcritic.errors import InputError
from actorcritic.metrics import Difference, mean_interval, paired_difference
from actorcritic.search.strategies import StrategySpec, needs_critic, parse_strategy

__all__ = [
    "CRITICS",
    "BenchReport",
    "BenchRow",
    "Comparison",
    "Contestant",
    "Duel",
    "Facts",
    "ProblemRow",
    "ReadingRecord",
    "parse_contestants",
    "summarize",
]

CRITICS = ("oracle", "calculate")
"""Critics that a single strategy may be given in place of the run's own, after an `@`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A strategy in a comparison."""

    spec: StrategySpec
    critic: str | None = None
    """One of `CRITICS`; None = the run's own critic."""

    @property
    def label(self) -> str:
        """Its text form, which `parse_contestants` reads back."""
        return str(self.spec) if self.critic is None else f"{self.spec}@{self.critic}"


def parse_contestants(texts: Iterable[str]) -> tuple[Contestant, ...]:
    """Read strategies such as `majority,best-of-n:score=logprob,n=8;revise@oracle`.

    A semicolon always separates two strategies. A comma does so too, unless what follows is `option=value`: that
    belongs to the strategy before it. `@oracle` or `@calculate` at the end gives one strategy a critic of its own.

    Raises:
        InputError: there is none, one is unknown or stands twice, or a critic is given to one that asks for none.
    """
    found: dict[str, Contestant] = {}
    for text in itertools.chain.from_iterable(map(_split, texts)):
        name, at, critic = text.partition("@")
        if at and critic not in CRITICS:
            raise InputError(f"unknown critic {critic!r} in {text!r}; choose from: {', '.join(CRITICS)}")
        contestant = Contestant(spec=parse_strategy(name), critic=critic or None)
        if at and not needs_critic(contestant.spec):
            raise InputError(f"{contestant.spec} asks for no critic: leave out @{critic}")
        if contestant.label in found:
            raise InputError(f"the strategy {contestant.label} is given twice")
        found[contestant.label] = contestant
    if not found:
        raise InputError("give at least one strategy")
    return tuple(found.values())


def _split(text: str) -> list[str]:
    """Return the strategies in a text by the rule of `parse_contestants`."""
    parts: list[str] = []
    for group in text.split(";"):
        fresh = True
        for piece in map(str.strip, group.split(",")):
            if not piece:
                continue
            name, equals, _ = piece.partition("=")
            if equals and ":" not in name and not fresh:
                parts[-1] += f",{piece}"
            else:
                parts.append(piece)
            fresh = False
    return parts


# --- records -------------------------------------------------------------------------------------------------------


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadingRecord(_Record):
    """One problem at one budget."""

    budget_tokens: int
    correct: bool
    total_tokens: int
    """Logical tokens that were spent, all roles; at most the budget where it is hard."""
    actor_tokens: int
    critic_tokens: int
    reward_model_tokens: int = 0
    seconds: float
    """The problem's share of the time: of k problems in flight each takes a k-th; since it was last taken up, where a
    comparison broke off in the middle of it."""
    money: float = 0.0
    """In the currency of the prices; 0 where there were none."""
    trials: int
    failures: int


class ProblemRow(_Record):
    """One problem in one run of one strategy: a line of `rows.jsonl`."""

    strategy: str
    """The contestant's label."""
    oracle: bool
    seed: int
    limit: int
    """The run's token budget: the largest of those that were read off it."""
    problem: str
    stopped_by: str
    readings: list[ReadingRecord]


class BenchRow(_Record):
    """One strategy at one budget."""

    strategy: str
    oracle: bool
    """True where a gold answer or the task's own checker stood behind the critic: a ceiling, not a competitor."""
    budget_tokens: int
    accuracy: float
    ci_low: float
    ci_high: float
    """The 95% interval over problems; see `metrics.mean_interval`."""
    mean_total_tokens: float
    mean_actor_tokens: float
    mean_critic_tokens: float
    """Logical tokens per problem."""
    mean_reward_model_tokens: float = 0.0
    mean_money: float = 0.0
    """Per problem, in the currency of the prices."""
    mean_trials: float
    seconds: float
    """Mean per problem; all problems together took as long as the run."""
    failures: int
    """What failed, summed over problems and seeds."""


class Duel(_Record):
    """Best against second at one budget, oracle rows left out."""

    budget_tokens: int
    best: str
    second: str
    difference: float
    ci_low: float
    ci_high: float
    beyond_noise: bool
    """Whether the 95% interval of the paired difference leaves out zero."""
    summary: str
    """The same in one sentence."""


class Comparison(_Record):
    """Any two strategies at one budget: first minus second, on the same problems and seeds."""

    budget_tokens: int
    first: str
    second: str
    difference: float
    ci_low: float
    ci_high: float


class Facts(_Record):
    """What a report says of the comparison as a whole."""

    task: str
    split: str | None
    problems: int
    seeds: list[int]
    strategies: list[str]
    budgets: list[int]
    actor: str
    critic: str | None
    reward_model: str | None = None
    verifier: str | None = None
    budget_money: float | None = None
    """Money that one problem may cost beside its tokens, in the currency of the prices; None = no limit."""
    models: list[str]
    """Fingerprints of the models behind them."""
    width: int
    concurrency: int
    share_samples: bool = False
    """True where repeated requests were answered from memory: then `seconds` says nothing."""
    temperature: float
    budget: str
    """hard or estimated."""
    versions: dict[str, str]


class BenchReport(Facts):
    """What `bench --json` prints."""

    rows: list[BenchRow]
    paired: list[Duel]
    paired_all: list[Comparison]
    complete: bool
    """False where the run broke off: strategies that had not ended are left out."""


# --- from problem rows to the report -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """A strategy at a budget: the readings of every problem, in the order of the problems, one per seed."""

    label: str
    oracle: bool
    budget: int
    readings: tuple[tuple[ReadingRecord, ...], ...]

    @property
    def rates(self) -> list[float]:
        """Share of right answers over the seeds, per problem."""
        return [fmean(reading.correct for reading in per_seed) for per_seed in self.readings]


def summarize(rows: Iterable[ProblemRow], facts: Facts) -> BenchReport:
    """Add up the rows of a comparison; a strategy counts only where every problem has ended under every seed."""
    cells = _cells(rows, facts)
    by_budget = [[cell for cell in cells if cell.budget == budget] for budget in facts.budgets]
    return BenchReport(
        **facts.model_dump(),
        rows=[_row(cell, len(facts.seeds)) for cell in cells],
        paired=[duel for group in by_budget if (duel := _duel(group)) is not None],
        paired_all=[_comparison(a, b) for group in by_budget for a, b in itertools.combinations(group, 2)],
        complete=len(cells) == len(facts.strategies) * len(facts.budgets),
    )


def _cells(rows: Iterable[ProblemRow], facts: Facts) -> list[_Cell]:
    """Sort readings into cells, by strategy and then by budget; strategies that have not ended are left out."""
    found: dict[tuple[str, int], dict[str, dict[int, ReadingRecord]]] = {}
    oracle: dict[str, bool] = {}
    for row in rows:
        oracle[row.strategy] = row.oracle
        for reading in row.readings:
            problems = found.setdefault((row.strategy, reading.budget_tokens), {})
            problems.setdefault(row.problem, {})[row.seed] = reading

    def whole(problems: Mapping[str, Mapping[int, ReadingRecord]]) -> bool:
        return len(problems) == facts.problems and all(len(seeds) == len(facts.seeds) for seeds in problems.values())

    done = [s for s in facts.strategies if all(whole(found.get((s, budget), {})) for budget in facts.budgets)]
    return [
        _Cell(
            label=strategy,
            oracle=oracle[strategy],
            budget=budget,
            # Sorted by problem, so that two strategies pair whatever order their problems ended in.
            readings=tuple(
                tuple(seeds[seed] for seed in facts.seeds) for _, seeds in sorted(found[strategy, budget].items())
            ),
        )
        for strategy in done
        for budget in facts.budgets
    ]


def _row(cell: _Cell, seeds: int) -> BenchRow:
    rates, flat = cell.rates, list(itertools.chain.from_iterable(cell.readings))
    low, high = mean_interval(rates, seeds)
    return BenchRow(
        strategy=cell.label,
        oracle=cell.oracle,
        budget_tokens=cell.budget,
        accuracy=_short(fmean(rates)),
        ci_low=_short(low),
        ci_high=_short(high),
        mean_total_tokens=_short(fmean(reading.total_tokens for reading in flat)),
        mean_actor_tokens=_short(fmean(reading.actor_tokens for reading in flat)),
        mean_critic_tokens=_short(fmean(reading.critic_tokens for reading in flat)),
        mean_reward_model_tokens=_short(fmean(reading.reward_model_tokens for reading in flat)),
        mean_money=_short(fmean(reading.money for reading in flat)),
        mean_trials=_short(fmean(reading.trials for reading in flat)),
        seconds=_short(fmean(reading.seconds for reading in flat)),
        failures=sum(reading.failures for reading in flat),
    )


def _duel(cells: Sequence[_Cell]) -> Duel | None:
    """Return best against second, None where there are no two; of equals the one that spent fewer tokens is ahead."""

    def standing(cell: _Cell) -> tuple[float, float]:
        spent = fmean(reading.total_tokens for seeds in cell.readings for reading in seeds)
        return -fmean(cell.rates), spent

    ranked = sorted((cell for cell in cells if not cell.oracle), key=standing)
    if len(ranked) < 2:
        return None
    best, second = ranked[:2]
    found = paired_difference(best.rates, second.rates)
    return Duel(
        budget_tokens=best.budget,
        best=best.label,
        second=second.label,
        difference=_short(found.value),
        ci_low=_short(found.low),
        ci_high=_short(found.high),
        beyond_noise=found.beyond_noise,
        summary=_sentence(best, second, found),
    )


def _sentence(best: _Cell, second: _Cell, found: Difference) -> str:
    """Say who won, and whether that means anything."""
    shares = f"{fmean(best.rates):.1%} and {fmean(second.rates):.1%}"
    interval = f"95% interval {100 * found.low:+.1f} to {100 * found.high:+.1f}"
    if found.value == 0:
        return f"At {best.budget} tokens {best.label} and {second.label} are level at {shares} ({interval})."
    noise = "beyond the noise" if found.beyond_noise else "within the noise, so no winner"
    return (
        f"At {best.budget} tokens {best.label} is ahead of {second.label} ({shares}): {100 * found.value:+.1f} points, "
        f"{interval}: {noise}."
    )


def _comparison(first: _Cell, second: _Cell) -> Comparison:
    found = paired_difference(first.rates, second.rates)
    return Comparison(
        budget_tokens=first.budget,
        first=first.label,
        second=second.label,
        difference=_short(found.value),
        ci_low=_short(found.low),
        ci_high=_short(found.high),
    )


def _short(value: float) -> float:
    """Return a figure without the digits that mean nothing."""
    return round(value, 6)
