"""Pairs of a policy's own answers, and what the negative side of a pair is worth on a bandit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from actorcritic.errors import InputError
from actorcritic.export.recipe import Row
from actorcritic.export.recipes.on_policy_dpo import staleness
from actorcritic.trajectory.attempts import Derived, EpisodeAttempt, LoggedScore
from actorcritic.trajectory.episodes import Episode
from actorcritic.trajectory.provenance import Provenance
from actorcritic.types import Action
from tests.export.log import MODELS, attempt, content, episode, exported, rows_of, setting_of, solved

ARMS, BEST = 100, 70


def policy_episode(*attempts: EpisodeAttempt, **more: object) -> Episode:
    return replace(episode(*attempts, **more), provenance=Provenance(models=MODELS))  # type: ignore[arg-type]


def scored(trial: int, text: str, score: float) -> EpisodeAttempt:
    one = attempt(trial, solved(text), correct=True)
    return replace(one, scores=(LoggedScore(by="stub", score=score, gold=True, time="t"),))


# --- the bandit ----------------------------------------------------------------------------------------------------


def shares(mode: float) -> NDArray[np.float64]:
    """Return a softmax policy over the arms with one parameter, so that arms near each other are learnt together."""
    weights: NDArray[np.float64] = np.exp(-2 * (np.arange(ARMS) - mode) ** 2)
    made: NDArray[np.float64] = weights / weights.sum()
    return made


def reward(arm: int) -> float:
    """Return a reward in [0, 1] that no two arms share, highest at the best one."""
    return 1 - abs(arm - BEST - 0.25) / ARMS


def extremes(share: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often each arm is the best and the worst of four samples."""
    order = np.argsort([reward(arm) for arm in range(ARMS)])
    below = np.concatenate([[0.0], np.cumsum(share[order])])
    best, worst = np.zeros(ARMS), np.zeros(ARMS)
    best[order] = np.diff(below**4)
    worst[order] = -np.diff((1 - below) ** 4)
    return best, worst


def steps_to_half(mode: float, *, negatives: bool, most: int = 2000) -> int:
    """Return after how many steps of one size the best arm is drawn more often than not.

    Every step follows the gradient of DPO at the policy that the pairs are from (beta / 2 left out), or that
    of the likelihood of the chosen ones.
    """
    for step in range(most):
        share = shares(mode)
        if share[BEST] > 0.5:
            return step
        best, worst = extremes(share)
        mode += 0.01 * float((best - (worst if negatives else share)) @ np.arange(ARMS))
    return most


def test_acceptance() -> None:
    """Section 14: with an unlikely best arm pairs need fewer steps than the chosen alone; near the mode none gains."""
    unlikely, likely = BEST - 1.85, BEST - 0.5
    assert shares(unlikely)[BEST] == pytest.approx(1e-3, rel=0.3) and 0.4 < shares(likely)[BEST] < 0.5
    pairs, alone = (steps_to_half(unlikely, negatives=negatives) for negatives in (True, False))
    assert pairs < 0.75 * alone and alone < 2000
    gap = steps_to_half(likely, negatives=False) - steps_to_half(likely, negatives=True)
    assert abs(gap) <= 2


def test_pairs_of_the_bandit_are_the_recipes() -> None:
    share, random = shares(BEST - 1.85), np.random.default_rng(0)
    recipe, setting = setting_of("on-policy-dpo:pairs=extremes")
    found: dict[str, list[int]] = {"chosen": [], "rejected": []}
    for _ in range(200):
        arms = [int(arm) for arm in random.choice(ARMS, size=4, p=share)]
        attempts = [scored(i, f"arm {arm}", reward(arm)) for i, arm in enumerate(arms)]
        rows = [row for row in recipe.rows(policy_episode(*attempts), setting) if isinstance(row, Row)]
        for column, drawn in found.items():
            # Where all four are one arm there is no pair; it is best and worst at once.
            drawn.append(int(content(rows[0].columns[column]).split()[1]) if rows else arms[0])
    for expected, column in zip(extremes(share), found, strict=True):
        assert np.mean(found[column]) == pytest.approx(float(expected @ np.arange(ARMS)), abs=0.15)


# --- pairs ---------------------------------------------------------------------------------------------------------


def test_a_right_one_against_a_wrong_one() -> None:
    lot = [attempt(i, solved(f"try {i}"), correct=i in (2, 3)) for i in range(6)]
    rows = [rows_of(exported("on-policy-dpo", policy_episode(*lot), seed=seed))[0] for seed in range(12)]
    assert {content(row["chosen"]) for row in rows} == {"try 2", "try 3"}
    assert {content(row["rejected"]) for row in rows} == {"try 0", "try 1", "try 4", "try 5"}
    assert rows[0]["policy"] == "stub-actor"
    assert len(rows_of(exported("on-policy-dpo:cap=5", policy_episode(*lot)))) == 2


@pytest.mark.parametrize("correct", [True, False])
def test_problems_that_are_all_right_or_all_wrong_make_no_pair(correct: bool) -> None:
    lot = [attempt(i, solved(f"try {i}"), correct=correct) for i in range(3)]
    export = exported("on-policy-dpo", policy_episode(*lot))
    assert export.total == 0 and export.drops == {"samples of one kind only": 1}


def test_best_against_worst() -> None:
    lot = [scored(i, f"try {i}", score) for i, score in enumerate((0.5, 0.9, 0.2, 0.55, 0.5))]
    rows = rows_of(exported("on-policy-dpo:pairs=extremes,cap=9", policy_episode(*lot)))
    assert [(content(row["chosen"]), content(row["rejected"])) for row in rows] == [
        ("try 1", "try 2"),
        ("try 3", "try 4"),
    ]
    assert len(rows_of(exported("on-policy-dpo:pairs=extremes,cap=9,margin=0.1", policy_episode(*lot)))) == 1


def test_what_is_no_sample_of_the_policy() -> None:
    lot = (
        attempt(0, solved("a"), correct=True),
        attempt(1, solved("b"), correct=False),
        attempt(2, solved("c"), correct=True, action=Action.REVISE, parent=1),
        attempt(3, solved("d"), correct=False),
    )
    export = exported("on-policy-dpo:samples=2", policy_episode(*lot))
    assert export.total == 1
    assert export.drops == {"written after a critique": 1, "over the samples of its problem": 1}
    assert exported("on-policy-dpo", episode(*lot[:2])).drops == {"policy unknown": 2}


def test_logged_probabilities_are_the_reference() -> None:
    lot = (attempt(0, solved("a", "b"), correct=True), attempt(1, solved("c"), correct=False))
    export = exported("on-policy-dpo:reference=logged", policy_episode(*lot), share=1.0)
    (row,) = rows_of(export)
    assert (row["ref_chosen_logps"], row["ref_rejected_logps"]) == (-2.0, -1.0)
    assert export.trainer_settings["precompute_ref_log_probs"] is True
    bare = replace(lot[0], solution=replace(solved("a"), steps=(replace(solved("a").steps[0], logprobs=()),)))
    drops = exported("on-policy-dpo:reference=logged", policy_episode(bare, lot[1])).drops
    assert drops == {"no log-probabilities": 1, "samples of one kind only": 1}


def test_stale_samples_are_refused() -> None:
    lot = tuple(attempt(i, solved(text), correct=not i) for i, text in enumerate("abcd"))
    now = ([-0.55, -0.5], [-0.4, -0.55], [-1.5, -0.5], [-0.5])
    made = tuple(
        Derived(step="rescore", trial=i, payload={"model": "m", "logprobs": list(values)})
        for i, values in enumerate(now)
    )
    one = replace(policy_episode(*lot), derived=made)
    export = exported("on-policy-dpo:stale=limited", one)
    assert [content(row["rejected"]) for row in rows_of(export)] == ["b"]
    assert export.drops == {"stale": 1, "staleness unknown": 1}
    assert exported("on-policy-dpo:stale=limited,limit=0.05", one).drops["stale"] == 2
    with pytest.raises(InputError, match=r"--step rescore` collects them"):
        exported("on-policy-dpo:stale=limited", policy_episode(*lot))


def test_distance_per_token() -> None:
    assert staleness([-1.0, -2.0], [-2.0, -1.5]) == 0.75
    assert staleness([], []) is None and staleness([-1.0], [-1.0, -1.0]) is None
