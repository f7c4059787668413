"""AB-MCTS-A: the posteriors, who learns from a score, and that it goes wide or deep where that pays."""

from __future__ import annotations

import random
import statistics

import pytest

from actorcritic.search.ab_mcts import AbMcts
from actorcritic.types import Action, Outcome, Trial, Verdict
from tests.search.simulation import BROKEN, Driver, Random, outcome, shape, tell_all

PROPOSE, REFINE, REVISE = Action.PROPOSE, Action.REFINE, Action.REVISE


def wrong(score: float, error: int | None = 1) -> Outcome:
    return outcome(score, correct=False, error=error)


def grown(parents: list[int | None], scores: list[float], virtual_loss: float = 0.0) -> AbMcts:
    """Return a search that happened to grow this tree."""
    for seed in range(10_000):
        policy = AbMcts(seed=seed, virtual_loss=virtual_loss)
        for parent, score in zip(parents, scores, strict=True):
            (trial,) = policy.ask()
            if trial.parent != parent:
                break
            policy.tell(trial.id, wrong(score))
        else:
            return policy
    raise AssertionError("no seed grows it")


def test_who_learns_from_a_score() -> None:
    """A new child counts for its parent's GEN, for itself, and on every edge above for CONT and the child."""
    policy = grown([None, 0, 1], [0.5, 0.25, 1.0])
    assert [scores[:2] for scores in policy._gen] == [[1, 0.5], [1, 0.25], [1, 1.0], [0, 0]]
    assert [scores[:2] for scores in policy._cont] == [[2, 1.25], [1, 1.0], [0, 0], [0, 0]]
    assert [scores[:2] for scores in policy._child] == [[0, 0], [3, 1.75], [2, 1.25], [1, 1.0]]
    assert [(node.visits, node.value) for node in policy.tree] == [(3, 1.75), (2, 1.25), (1, 1.0)]


def test_the_gaussian_posterior() -> None:
    """Its mean is m_n, and its spread that of Student's t with nu_n degrees of freedom."""
    policy = AbMcts(seed=1)
    scores = [0.2, 0.4, 0.9, 0.5]
    kept = [4.0, sum(scores), sum(score * score for score in scores)]
    draws = [policy._draw(kept) for _ in range(40_000)]
    mean, spread = statistics.fmean(scores), sum((score - 0.5) ** 2 for score in scores)
    tau2_n = (0.1 + spread + 4 * mean**2 / 5) / 5
    assert statistics.fmean(draws) == pytest.approx(2.0 / 5, abs=0.01)
    assert statistics.pvariance(draws) == pytest.approx(tau2_n / 5 * 5 / 3, rel=0.1)


def test_the_beta_posterior() -> None:
    policy = AbMcts(seed=1, posterior="beta")
    draws = [policy._draw([4.0, 3.0, 0.0]) for _ in range(20_000)]
    assert statistics.fmean(draws) == pytest.approx(3.5 / 5, abs=0.01)
    assert all(0 <= draw <= 1 for draw in draws)


def test_without_children_to_enter_it_generates() -> None:
    """An unscored, an accepted and a failed child are no place to go on from."""
    for seed in range(20):
        policy = AbMcts(seed=seed)
        tell_all(policy, [outcome(), outcome(0.9, correct=True), None, outcome(0.5)])
        assert shape(policy) == [(PROPOSE, None)] * 4


def test_how_a_wrong_solution_is_worked_on() -> None:
    for deeper, error, action in (("refine", 1, REFINE), ("revise", 1, REVISE), ("revise", None, REFINE)):
        seen = set[Action]()
        for seed in range(30):
            policy = AbMcts(seed=seed, deeper=deeper)
            tell_all(policy, [wrong(0.9, error)])
            seen.add(policy.ask()[0].action)
        assert seen == {PROPOSE, action}


def test_trials_in_flight_are_no_place_to_go() -> None:
    policy = AbMcts(seed=0)
    assert {trial.parent for trial in policy.ask(20)} == {None}
    policy.fail(3, BROKEN)
    assert policy.ask()[0].parent is None


def test_a_trial_in_flight_counts_as_a_score_of_nothing() -> None:
    """On the very edges on which its score will count; once it is back, that score alone does."""
    with_loss, without = (grown([None, 0, 1], [0.5, 0.25, 1.0], virtual_loss=loss) for loss in (2.0, 0.0))
    assert with_loss._flying == without._flying == [[0, 0]] * 4
    for policy, worth in ((with_loss, 2.0), (without, 0.0)):
        node = policy.tree.add(Trial(id=3, action=REFINE, parent=1))
        policy._grow()
        policy._asked(node)
        assert policy._flying == [[0, 1], [0, 1], [1, 0], [0, 0], [0, 0]]
        draws = [policy._draw(policy._gen[2], 1) for _ in range(20_000)]
        assert statistics.fmean(draws) == pytest.approx(1.0 / (1 + 1 + worth), abs=0.02), "kappa, its score, the loss"
        policy._failed(node)
        assert policy._flying == [[0, 0]] * 5


def test_side_by_side_virtual_loss_spreads_what_is_asked() -> None:
    def parents(loss: float) -> int:
        asked = 0
        for seed in range(40):
            policy = AbMcts(seed=seed, virtual_loss=loss)
            tell_all(policy, [wrong(0.9), wrong(0.9), wrong(0.8)])
            asked += len({trial.parent for trial in policy.ask(6)})
        return asked

    assert parents(3.0) > parents(0.0)


def test_in_turn_virtual_loss_changes_nothing() -> None:
    world = Random(seed=3, right=0.1, broken=0.1, unscored=0.2)
    trees = [Driver(world, trials=40).run(AbMcts(seed=5, virtual_loss=loss)).tree.to_json() for loss in (0.0, 1.0)]
    assert trees[0] == trees[1]


@pytest.mark.parametrize(("gate", "entered"), [("critic", {1}), ("always", {1, 2})])
def test_the_gate_says_what_is_worked_on(gate: str, entered: set[int]) -> None:
    """Unscored is worked on by neither: there is no critique to go by."""
    seen = set[int | None]()
    for seed in range(60):
        policy = AbMcts(seed=seed, gate=gate)
        told = [outcome(0.9), wrong(0.9), outcome(0.9, correct=True)]
        for trial, result in zip(policy.ask(3), told, strict=True):
            policy.tell(trial.id, result)
        seen.add(policy.ask()[0].parent)
    assert seen - {None} == entered


def test_a_solution_may_be_cut_where_the_actor_was_least_confident() -> None:
    unsure = outcome(0.9, correct=False, error=1, least_confident=3)
    cuts = {"critic": set[object](), "least-confident": set[object]()}
    for locate, found in cuts.items():
        for seed in range(30):
            policy = AbMcts(seed=seed, deeper="revise", locate=locate)
            tell_all(policy, [unsure])
            found.add(policy.ask()[0].options.get("revise_from"))
    assert cuts == {"critic": {None, 1}, "least-confident": {None, 3}}


def landscape(wide: bool, posterior: str, seed: int) -> tuple[float, int]:
    """Return the share of new first attempts and the depth after 60 calls."""
    draw = random.Random(seed)
    policy = AbMcts(seed=seed, posterior=posterior)
    for _ in range(60):
        (trial,) = policy.ask()
        if trial.parent is None:
            score = draw.gauss(0.5, 0.2) if wide else draw.gauss(0.3, 0.1)
        elif wide:
            score = draw.gauss(0.2, 0.1)
        else:
            told = policy.tree[trial.parent].outcome
            assert told is not None and told.score is not None
            score = told.score + draw.gauss(0.1, 0.03)
        policy.tell(trial.id, Outcome(score=min(max(score, 0.0), 1.0), verdict=Verdict.INCORRECT))
    depth = max(policy.tree.depth(node.id) for node in policy.tree) + 1
    return len(policy.tree.roots) / 60, depth


def test_it_goes_wide_where_that_pays_and_deep_where_that_does() -> None:
    """Recipe 14 d."""
    wide = [landscape(True, "gaussian", seed) for seed in range(20)]
    deep = [landscape(False, "gaussian", seed) for seed in range(20)]
    assert statistics.fmean(share for share, _ in wide) > 0.85
    assert statistics.fmean(depth for _, depth in wide) <= 3
    assert statistics.fmean(share for share, _ in deep) < 0.4
    assert statistics.fmean(depth for _, depth in deep) >= 4


def test_another_seed_is_another_tree() -> None:
    trees: list[object] = []
    for seed in range(4):
        policy = AbMcts(seed=seed)
        tell_all(policy, [wrong(0.5)] * 20)
        trees.append(shape(policy))
    assert any(tree != trees[0] for tree in trees)
