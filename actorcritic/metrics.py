"""The statistics behind every figure: intervals, paired differences, pass@k, and what a critic is worth.

Pure functions of counts, flags and scores; they know no model, no task and no file. Every interval is a 95% one. The
definitions are those of ProcessBench (Zheng et al. 2024, arXiv 2412.06559), of critique models (Xi et al. 2024, arXiv
2411.16579) and, for pass@k, of Chen et al. 2021 (arXiv 2107.03374).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, pvariance
from typing import Final, NamedTuple, TypeVar

from actorcritic.errors import InputError
from actorcritic.types import Verdict

__all__ = [
    "UNPARSED",
    "CritiqueEffect",
    "Difference",
    "Interval",
    "ProcessBench",
    "auroc",
    "bootstrap",
    "critique_effect",
    "discriminability",
    "majority_at_k",
    "mean_interval",
    "paired_difference",
    "pass_at_k",
    "process_bench",
    "wilson",
]

Z: Final = NormalDist().inv_cdf(0.975)
"""Half the width of a 95% interval, in standard errors."""

UNPARSED: Final = -2
"""Where a critique named no step and gave no verdict: it matches no label, so it counts as wrong."""

_Key = TypeVar("_Key", bound=Hashable)


class Interval(NamedTuple):
    """A 95% interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much better the first of two is, on the same problems."""

    value: float
    """Mean of first minus second, in [-1, 1]."""
    low: float
    high: float
    """Its 95% interval."""

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


# --- shares and their differences ----------------------------------------------------------------------------------


def wilson(successes: float, trials: float) -> Interval:
    """Return the Wilson score interval of a share (Wilson 1927); it is never empty and never leaves [0, 1].

    Args:
        successes: In [0, trials]; need not be whole, so that an effective number of trials can be used.
        trials: >= 0; without any, nothing is known.

    Raises:
        InputError: there are fewer trials than successes.
    """
    if not 0 <= successes <= trials:
        raise InputError(f"successes must be in [0, {trials}], not {successes}")
    if trials == 0:
        return Interval(0.0, 1.0)
    share, square = successes / trials, Z * Z / trials
    centre = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    # At a share of 0 or 1 the interval ends there; rounding must not push it past.
    return Interval(max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def mean_interval(rates: Sequence[float], repeats: int = 1) -> Interval:
    """Return the interval of the mean over problems that were each tried several times.

    Tries of one problem are alike, so they are not so many problems. Wilson's interval is taken at the effective number
    of tries, the variance of a single try over that of the problems' rates: with one try per problem this is the number
    of problems, with many it lies between that and the number of tries.

    Args:
        rates: Share of right tries in [0, 1], per problem.
        repeats: Tries per problem, >= 1.
    """
    if not rates:
        return Interval(0.0, 1.0)
    mean, most = fmean(rates), len(rates) * repeats
    spread = pvariance(rates, mean)
    effective = most if spread == 0 else min(most, len(rates) * mean * (1 - mean) / spread)
    if mean in (0.0, 1.0):
        effective = len(rates)  # all alike: nothing tells how much the repeats add
    return wilson(min(mean * effective, effective), effective)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return how much better the first is than the second on the same problems.

    The interval is the adjusted Wald interval for paired proportions of Bonett and Price (2012): the normal interval of
    the per-problem differences, after one problem was added that only the first solves and one that only the second
    solves. It needs no resampling, so it is the same in every run; it holds its level on few problems, where a
    bootstrap or a plain normal interval is too narrow (and empty where all differences are alike); and it takes rates
    over several seeds as well as single flags.

    Args:
        first: What the first got, in [0, 1], per problem.
        second: What the second got, for the same problems in the same order.

    Raises:
        InputError: there is no problem, or the two are not equally many.
    """
    if len(first) != len(second) or not first:
        raise InputError(f"a paired difference needs the same problems twice, not {len(first)} and {len(second)}")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    adjusted = [*differences, 1.0, -1.0]
    centre = fmean(adjusted)
    half = Z * math.sqrt(pvariance(adjusted, centre) / len(adjusted))
    return Difference(value=fmean(differences), low=max(-1.0, centre - half), high=min(1.0, centre + half))


def bootstrap(count: int, measure: Callable[[Sequence[int]], float], *, seed: int = 0, rounds: int = 1000) -> Interval:
    """Return the percentile interval of a figure that has no formula of its own, such as an F1 or an AUROC.

    Args:
        count: Number of problems, >= 1.
        measure: Returns the figure over the problems with these indices; a nan (a draw without both kinds) is left out.
        seed: Of the draws; the same seed gives the same interval.
        rounds: Number of draws, >= 40.

    Raises:
        InputError: there is no problem, or there are too few rounds for an interval.
    """
    if count < 1 or rounds < 40:
        raise InputError(f"a bootstrap needs problems and at least 40 rounds, not {count} and {rounds}")
    generator = random.Random(seed)
    drawn = (measure(generator.choices(range(count), k=count)) for _ in range(rounds))
    values = sorted(value for value in drawn if not math.isnan(value))
    if not values:
        return Interval(math.nan, math.nan)
    return Interval(values[math.floor(0.025 * len(values))], values[math.ceil(0.975 * len(values)) - 1])


# --- samples -------------------------------------------------------------------------------------------------------


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased estimate that at least one of k samples is right (Chen et al. 2021).

    Args:
        samples: Samples drawn, >= k.
        correct: How many of them are right.
        k: Samples allowed, >= 1.

    Raises:
        InputError: k samples were not drawn, or more are right than were drawn.
    """
    if not 1 <= k <= samples or not 0 <= correct <= samples:
        raise InputError(f"pass@{k} cannot be told from {correct} right of {samples} samples")
    if samples - correct < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(samples - correct + 1, samples + 1))


def majority_at_k(keys: Sequence[_Key | None], k: int) -> _Key | None:
    """Return the most frequent of the first k answers, the first seen of equals; None, which is no answer, never votes.

    Args:
        keys: Vote keys in the order in which they were drawn.
        k: How many of them vote, in [1, len(keys)].

    Raises:
        InputError: so many were not drawn.
    """
    if not 1 <= k <= len(keys):
        raise InputError(f"majority@{k} cannot be told from {len(keys)} samples")
    votes: dict[_Key, int] = {}
    for key in keys[:k]:
        if key is not None:
            votes[key] = votes.get(key, 0) + 1
    return max(votes, key=votes.__getitem__, default=None)


# --- critics -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessBench:
    """How exactly a critic finds the first wrong step; shares in [0, 1]."""

    f1: float
    """Harmonic mean of the two accuracies."""
    acc_err: float
    """Of the solutions with a wrong step: share whose first wrong step was named exactly."""
    acc_cor: float
    """Of the solutions without: share that was called right."""
    errors: int
    """Number of solutions with a wrong step."""
    corrects: int


def process_bench(found: Sequence[int | None], true: Sequence[int | None]) -> ProcessBench:
    """Compare the first wrong steps that a critic named with the true ones.

    Args:
        found: Per solution: index of the step named, None where it was called right, `UNPARSED` where the critique
            could not be read.
        true: Per solution: index of the first wrong step, None where there is none.
    """
    pairs = list(zip(found, true, strict=True))
    wrong = [a == b for a, b in pairs if b is not None]
    right = [a is None for a, b in pairs if b is None]
    acc_err, acc_cor = _share(wrong), _share(right)
    total = acc_err + acc_cor
    f1 = 2 * acc_err * acc_cor / total if total else 0.0
    return ProcessBench(f1=f1, acc_err=acc_err, acc_cor=acc_cor, errors=len(wrong), corrects=len(right))


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Return the chance that a positive scores above a negative, a tie counting half; nan without both kinds."""
    ordered = sorted(zip(scores, positive, strict=True))
    negatives, wins = 0, 0.0
    for _, group in itertools.groupby(ordered, key=lambda pair: pair[0]):
        kinds = [kind for _, kind in group]
        ups = sum(kinds)
        wins += ups * (negatives + (len(kinds) - ups) / 2)
        negatives += len(kinds) - ups
    positives = len(ordered) - negatives
    return wins / (positives * negatives) if positives and negatives else math.nan


def discriminability(verdicts: Sequence[Verdict], right: Sequence[bool]) -> float:
    """Return how often the critic's final verdict is the gold side's; unscored is never right; nan without any."""
    says = {Verdict.CORRECT: True, Verdict.INCORRECT: False, Verdict.UNSCORED: None}
    hits = [says[verdict] is truth for verdict, truth in zip(verdicts, right, strict=True)]
    return fmean(hits) if hits else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueEffect:
    """What critique did to a set of solutions; shares of all of them, in [0, 1], unless said otherwise."""

    before: float
    """Accuracy without critique."""
    after: float
    """Accuracy after it."""
    right_to_wrong: float
    """D_{c->i}: right before, wrong after."""
    wrong_to_right: float
    """D_{i->c}: wrong before, right after."""
    helpfulness: float
    """Of the solutions wrong before, the share right after; nan where none was wrong."""
    harm: float
    """Of the solutions right before, the share wrong after; nan where none was right."""

    @property
    def gain(self) -> float:
        """Accuracy after minus before: D_{i->c} - D_{c->i}."""
        return self.after - self.before


def critique_effect(before: Sequence[bool], after: Sequence[bool]) -> CritiqueEffect:
    """Compare solutions before and after critique, problem by problem.

    Raises:
        InputError: there is none.
    """
    pairs = list(zip(before, after, strict=True))
    if not pairs:
        raise InputError("the effect of critique needs at least one solution")
    broken = sum(was and not now for was, now in pairs)
    mended = sum(now and not was for was, now in pairs)
    right = sum(was for was, _ in pairs)
    wrong = len(pairs) - right
    return CritiqueEffect(
        before=right / len(pairs),
        after=(right - broken + mended) / len(pairs),
        right_to_wrong=broken / len(pairs),
        wrong_to_right=mended / len(pairs),
        helpfulness=mended / wrong if wrong else math.nan,
        harm=broken / right if right else math.nan,
    )


def _share(flags: Sequence[bool]) -> float:
    """Return the share of true flags, 0 without any."""
    return sum(flags) / len(flags) if flags else 0.0
