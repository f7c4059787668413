"""The statistics: published values, limits, and the properties that make them what they are."""

from __future__ import annotations

import itertools
import math
import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.metrics import (
    UNPARSED,
    auroc,
    bootstrap,
    critique_effect,
    discriminability,
    majority_at_k,
    mean_interval,
    paired_difference,
    pass_at_k,
    process_bench,
    wilson,
)
from actorcritic.types import Verdict

FLAGS = st.lists(st.booleans(), min_size=1, max_size=30)


def test_wilson_gives_the_published_values() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for right, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)):
        assert wilson(right, count) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_holds_the_share_and_stays_in_range(right: int, more: int) -> None:
    low, high = wilson(right, right + more)
    assert 0 <= low <= right / (right + more) <= high <= 1
    wider = wilson(right / 2, (right + more) / 2)
    assert wider.high - wider.low > high - low
    mirrored = wilson(more, right + more)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_wilson_of_nothing_knows_nothing() -> None:
    assert wilson(0, 0) == (0, 1)
    with pytest.raises(InputError, match="successes must be in"):
        wilson(3, 2)


@given(FLAGS)
def test_the_interval_of_single_tries_is_wilsons(flags: list[bool]) -> None:
    assert mean_interval([float(f) for f in flags]) == pytest.approx(wilson(sum(flags), len(flags)))


def test_repeats_of_a_problem_are_not_so_many_problems() -> None:
    same = [1.0] * 30 + [0.0] * 30  # every repeat brought the same: they add nothing
    assert mean_interval(same, 3) == pytest.approx(wilson(30, 60))
    independent = [0.5] * 60
    assert mean_interval(independent, 4) == pytest.approx(wilson(120, 240))
    between = mean_interval([1.0] * 20 + [2 / 3] * 20 + [0.0] * 20, 3)
    assert wilson(100, 180).low > between.low > wilson(100 / 3, 60).low
    assert mean_interval([1.0] * 10, 5) == wilson(10, 10)
    assert mean_interval([]) == (0, 1)


def test_paired_difference_is_bonett_and_prices() -> None:
    # 100 problems: 20 only the first solves, 8 only the second, 72 alike.
    first = [1.0] * 20 + [0.0] * 8 + [1.0] * 40 + [0.0] * 32
    second = [0.0] * 20 + [1.0] * 8 + [1.0] * 40 + [0.0] * 32
    found = paired_difference(first, second)
    p12, p21 = 21 / 102, 9 / 102
    half = 1.959964 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / 102)
    assert found.value == pytest.approx(0.12)
    assert (found.low, found.high) == pytest.approx((p12 - p21 - half, p12 - p21 + half))
    assert found.beyond_noise


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_paired_difference_holds_its_value_and_turns_around(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found, back = paired_difference(first, second), paired_difference(second, first)
    assert -1 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1 and found.low < found.high
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_a_handful_of_equal_differences_is_no_certainty() -> None:
    assert not paired_difference([1.0, 1.0], [0.0, 0.0]).beyond_noise
    assert paired_difference([1.0] * 12, [0.0] * 12).beyond_noise
    assert paired_difference([0.0] * 5, [0.0] * 5).low < 0 < paired_difference([0.0] * 5, [0.0] * 5).high


def test_the_paired_interval_holds_its_level() -> None:
    rng, held, true = random.Random(3), 0, 0.6 - 0.5
    for _ in range(400):
        draws = [rng.random() for _ in range(50)]  # one difficulty for both: paired
        first = [float(d < 0.6) for d in draws]
        second = [float((d + rng.choice((0.0, 0.3))) % 1 < 0.5) for d in draws]
        found = paired_difference(first, second)
        held += found.low <= true <= found.high
    assert held / 400 > 0.92


def test_problems_must_pair() -> None:
    for first, second in (([], []), ([1.0], [1.0, 0.0])):
        with pytest.raises(InputError, match="same problems twice"):
            paired_difference(first, second)


def test_bootstrap_agrees_with_the_normal_interval_and_repeats() -> None:
    flags = [i % 3 == 0 for i in range(300)]
    found = bootstrap(300, lambda chosen: fmean(flags[i] for i in chosen), seed=1)
    assert found == pytest.approx(wilson(100, 300), abs=0.012)
    assert found == bootstrap(300, lambda chosen: fmean(flags[i] for i in chosen), seed=1)
    assert found != bootstrap(300, lambda chosen: fmean(flags[i] for i in chosen), seed=2)


def test_bootstrap_leaves_out_what_cannot_be_measured() -> None:
    kinds = [True, False]
    assert bootstrap(2, lambda chosen: auroc([1.0 * i for i in chosen], [kinds[i] for i in chosen])) == (0, 0)
    assert all(math.isnan(end) for end in bootstrap(1, lambda _: math.nan))
    with pytest.raises(InputError, match="at least 40 rounds"):
        bootstrap(5, lambda _: 0.0, rounds=10)


def test_pass_at_k_of_the_recipe() -> None:
    assert pass_at_k(5, 2, 2) == pytest.approx(0.7)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(case: tuple[int, int, int]) -> None:
    samples, correct, k = case
    subsets = list(itertools.combinations(range(samples), k))
    assert pass_at_k(samples, correct, k) == pytest.approx(fmean(min(s) < correct for s in subsets))


@pytest.mark.parametrize("case", [(3, 1, 4), (3, 1, 0), (3, 4, 1), (3, -1, 1)])
def test_pass_at_k_needs_k_samples(case: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="cannot be told from"):
        pass_at_k(*case)


def test_majority_takes_the_first_seen_of_equals_and_counts_no_missing_answer() -> None:
    keys = ["a", None, None, None, "b", "b", "a"]
    assert majority_at_k(keys, 1) == "a" and majority_at_k(keys, 6) == "b" and majority_at_k(keys, 7) == "a"
    assert majority_at_k([None, None], 2) is None
    with pytest.raises(InputError, match="majority@8"):
        majority_at_k(keys, 8)


def test_process_bench_counts_exact_steps_and_takes_unparsed_for_wrong() -> None:
    true = [0, 1, 2, 3, None, None]
    found = process_bench([0, 1, 0, UNPARSED, None, UNPARSED], true)
    assert (found.acc_err, found.acc_cor, found.errors, found.corrects) == (0.5, 0.5, 4, 2)
    assert found.f1 == 0.5
    assert process_bench(true, true).f1 == 1
    assert process_bench([None] * 6, true).f1 == 0  # whoever calls all right finds no error
    uneven = process_bench([0, 1, 2, None, None, 0], true)
    assert uneven.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert process_bench([], []).f1 == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=25))
def test_auroc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    ups = [score for score, positive in pairs if positive]
    downs = [score for score, positive in pairs if not positive]
    found = auroc([float(score) for score, _ in pairs], [positive for _, positive in pairs])
    if not ups or not downs:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(fmean((a > b) + (a == b) / 2 for a in ups for b in downs))


def test_discriminability_gives_nothing_for_unscored() -> None:
    verdicts = [Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNSCORED, Verdict.UNSCORED, Verdict.CORRECT]
    assert discriminability(verdicts, [True, False, True, False, False]) == pytest.approx(0.4)
    assert math.isnan(discriminability([], []))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_critique_effect_adds_up(pairs: list[tuple[bool, bool]]) -> None:
    effect = critique_effect([was for was, _ in pairs], [now for _, now in pairs])
    assert effect.gain == pytest.approx(effect.wrong_to_right - effect.right_to_wrong)
    assert effect.before == fmean(was for was, _ in pairs) and effect.after == pytest.approx(fmean(n for _, n in pairs))
    if any(not was for was, _ in pairs):  # the bound of the paper: Acc <= p + (1 - p) * Help
        assert effect.after <= effect.before + (1 - effect.before) * effect.helpfulness + 1e-12


def test_critique_effect_by_hand() -> None:
    effect = critique_effect([True, True, True, False, False], [True, False, True, True, False])
    assert (effect.right_to_wrong, effect.wrong_to_right) == (0.2, 0.2)
    assert effect.helpfulness == 0.5 and effect.harm == pytest.approx(1 / 3)
    assert math.isnan(critique_effect([True], [True]).helpfulness)
    with pytest.raises(InputError, match="at least one solution"):
        critique_effect([], [])
