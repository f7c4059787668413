"""Tree search: what it selects, how it counts, and where rivals' searches go wrong."""

from __future__ import annotations

import math
import random

import pytest

from actorcritic.search.mcts import Mcts
from actorcritic.search.tree import Node, Status
from actorcritic.types import Action, Outcome, Trial, Verdict
from tests.search.simulation import BROKEN, Driver, Random, outcome, shape, tell_all

PROPOSE, EXTEND, REVISE, REFINE = Action.PROPOSE, Action.EXTEND, Action.REVISE, Action.REFINE


def wrong(score: float, *, error: int | None = 1, logprob: float | None = None) -> Outcome:
    return outcome(score, correct=False, error=error, logprob=logprob)


def prefix(score: float | None, *, complete: bool = False) -> Outcome:
    return outcome(score, correct=None if score is None else score > 0.5, complete=complete)


def scores(policy: Mcts, trials: int, seed: int = 0) -> None:
    """Feed random scores of wrong solutions."""
    draw = random.Random(seed)
    tell_all(policy, [wrong(draw.random()) for _ in range(trials)])


def test_depth_grows() -> None:
    """Forty simulations of one rival end at depth 2 with 42 children in one node."""
    for policy in (Mcts(), Mcts(selection="uct"), Mcts(selection="agent-q"), Mcts(pw_alpha=0.5)):
        for trials, depth in ((40, 2), (160, 3), (600, 4)):
            scores(policy, trials)
            assert max(policy.tree.depth(node.id) for node in policy.tree) >= depth
        assert max(len(node.children) for node in policy.tree) <= 5


@pytest.mark.parametrize("selection", ["puct", "uct", "agent-q", "lats-code"])
@pytest.mark.parametrize("width", [1, 8])
def test_visits_add_up(selection: str, width: int) -> None:
    """What is paid for is kept: every scored trial is one visit of itself and of each of its ancestors."""
    policy = Mcts(selection=selection)
    Driver(Random(seed=2, right=0.0, unscored=0.2, broken=0.1), width=width, trials=120).run(policy)
    for node in policy.tree:
        own = node.outcome is not None and node.outcome.score is not None
        assert node.visits == own + sum(policy.tree[child].visits for child in node.children)
        total = (node.outcome.score if node.outcome and node.outcome.score else 0.0) + sum(
            policy.tree[child].value for child in node.children
        )
        assert node.value == pytest.approx(total)
    # A trial that nothing was selected beside was never counted as pending.
    assert not any(place.pending for place in policy._places)
    done = [node for node in policy.tree if node.outcome is not None and node.outcome.score is not None]
    assert policy._root.node.visits == len(done) == sum(policy.tree[root].visits for root in policy.tree.roots)


def expected_child(policy: Mcts, children: list[int], visits: int, formula: str) -> int:
    """Return the child that the formula, written out, selects."""

    def score(child: int) -> float:
        node = policy.tree[child]
        mean = node.value / node.visits
        if formula == "puct":
            return mean + 1.25 / len(children) * math.sqrt(visits) / (1 + node.visits)
        if formula == "uct":
            return mean + math.sqrt(2 * math.log(visits) / node.visits)
        if formula == "lats-code":
            return mean / node.visits + math.sqrt(2 * math.log(visits) / node.visits)
        return mean + math.sqrt(math.log(visits) / (1 + node.visits))

    return max(children, key=lambda child: (score(child), -child))


@pytest.mark.parametrize("formula", ["puct", "uct", "agent-q", "lats-code"])
def test_the_formulas_are_the_papers(formula: str) -> None:
    policy = Mcts(selection=formula, expand=3)
    scores(policy, 3, seed=5)
    for seed in range(60):
        at: Node | None = None
        while len(children := policy.tree.roots if at is None else at.children) == 3:
            visits = policy._root.node.visits if at is None else at.visits
            at = policy.tree[expected_child(policy, children, visits, formula)]
        (trial,) = policy.ask()
        assert at is not None and trial.parent == at.id
        policy.tell(trial.id, wrong(random.Random(seed).random()))


def test_trials_in_flight_count_as_visits_without_value() -> None:
    """So a batch spreads over the tree instead of going to one place."""
    spread, crowded = Mcts(expand=2), Mcts(expand=2, virtual_loss=0)
    for policy in (spread, crowded):
        tell_all(policy, [wrong(0.6), wrong(0.5)])
    assert [trial.parent for trial in spread.ask(4)] == [0, 1, 0, 1]
    assert [trial.parent for trial in crowded.ask(4)] == [0, 0, 1, 1]


def test_the_order_of_tells_does_not_show() -> None:
    """Children are compared in the order of asking, so that of equals the earlier one is chosen in any case."""
    for order in ((0, 1, 2), (2, 0, 1), (2, 1, 0)):
        policy = Mcts(expand=3)
        policy.ask(3)
        for trial in order:
            policy.tell(trial, wrong(0.5))
        assert [place.node.id for place in policy._root.doors] == [0, 1, 2]
        assert policy.ask()[0].parent == 0


def test_a_batch_pays_for_nothing_twice() -> None:
    policy = Mcts(expand=2)
    asked: list[Trial] = []
    for _ in range(12):
        batch = policy.ask(8)
        asked += batch
        for trial in batch:
            policy.tell(trial.id, wrong(random.Random(trial.id).random()))
    assert len(asked) == len(policy.tree) == sum(node.status is Status.DONE for node in policy.tree)
    assert all(len(node.children) <= 2 for node in policy.tree)


def test_it_waits_while_everything_below_is_in_flight() -> None:
    policy = Mcts(expand=1)
    tell_all(policy, [wrong(0.5)])
    (child,) = policy.ask(5)
    assert (child.parent, policy.ask()) == (0, ())
    policy.fail(child.id, BROKEN)
    assert policy.ask()[0].parent == 0, "a failure gives its place back"


def test_a_wrong_solution_is_revised_where_the_error_is_else_refined() -> None:
    policy = Mcts(expand=1)
    trials = tell_all(policy, [wrong(0.5, error=2), wrong(0.5, error=None), wrong(0.5)])
    assert shape(policy) == [(PROPOSE, None), (REVISE, 0), (REFINE, 1)]
    assert trials[1].options["revise_from"] == 2
    policy = Mcts(expand=1, deeper="refine")
    tell_all(policy, [wrong(0.5), wrong(0.5)])
    assert shape(policy) == [(PROPOSE, None), (REFINE, 0)]


def test_what_holds_nothing_new_is_not_entered() -> None:
    """Neither an unscored solution nor one judged correct is worked on; the root grows instead."""
    policy = Mcts(expand=2)
    tell_all(policy, [outcome(), outcome(0.9, correct=True), outcome(0.8), outcome(0.7, correct=True)])
    assert shape(policy) == [(PROPOSE, None)] * 4
    assert policy.best == 1


def test_a_node_closes_with_its_last_child() -> None:
    policy = Mcts(expand=1)
    tell_all(policy, [wrong(0.5), wrong(0.4), outcome(0.9, correct=True), wrong(0.1)])
    assert shape(policy) == [(PROPOSE, None), (REVISE, 0), (REVISE, 1), (PROPOSE, None)]


def test_progressive_widening() -> None:
    policy = Mcts(expand=50, pw_alpha=0.5, pw_c=1.0)
    scores(policy, 100)
    for node in policy.tree:
        assert len(node.children) <= max(1.0, node.visits**0.5) + 1
    assert 5 <= len(policy.tree.roots) <= 11


def test_max_depth() -> None:
    policy = Mcts(expand=2, max_depth=2)
    scores(policy, 30)
    assert max(policy.tree.depth(node.id) for node in policy.tree) == 1


def test_step_nodes_are_written_step_by_step() -> None:
    policy = Mcts(nodes="step", expand=2)
    trials = tell_all(policy, [prefix(0.9), prefix(0.2), prefix(0.9), prefix(0.1), prefix(0.95, complete=True)])
    assert shape(policy)[:4] == [(PROPOSE, None), (PROPOSE, None), (EXTEND, 0), (EXTEND, 0)]
    assert all(trial.options["max_steps"] == 1 for trial in trials)
    assert policy.best == 4


def test_a_rollout_s_score_is_the_value_of_the_step() -> None:
    policy = Mcts(nodes="step", leaf="rollout", expand=1)
    trials = tell_all(policy, [prefix(0.1), prefix(0.8, complete=True)])
    assert shape(policy) == [(PROPOSE, None), (EXTEND, 0)]
    assert "max_steps" not in trials[1].options
    assert (policy.tree[0].visits, policy.tree[0].value) == (1, 0.8)
    (below,) = policy.ask()
    assert (below.parent, below.options["max_steps"]) == (0, 1), "the next step goes on from the step"
    policy = Mcts(nodes="step", leaf="rollout", expand=1)
    tell_all(policy, [prefix(0.9), None])
    assert policy.ask()[0].parent is None, "without a value there is nothing to go on from"


def test_priors() -> None:
    likely, unlikely = wrong(0.5, logprob=-0.1), wrong(0.5, logprob=-3.0)
    for prior, parent in (("uniform", 0), ("logprob", 1)):
        policy = Mcts(expand=2, prior=prior)
        tell_all(policy, [unlikely, likely])
        assert policy.ask()[0].parent == parent


def test_agent_q_s_value_mix() -> None:
    """Recipe 11: alpha = 1 ignores the rank; with ties in the mean, selection follows the rank."""
    # The second child is ranked first, yet its subtree turned out worse: the means are now equal.
    told = [wrong(0.4), wrong(0.6), wrong(0.5), wrong(0.3)]
    for alpha, parent in ((1.0, 0), (0.0, 1)):
        policy = Mcts(selection="agent-q", c_exp=0.0, expand=2, alpha=alpha)
        tell_all(policy, told[:2])
        policy._places[1].mean = policy._places[2].mean = 0.5
        assert policy.ask()[0].parent == parent
    lone = Mcts(alpha=0.5, expand=1)
    tell_all(lone, told[:1])
    assert lone._places[1].ranked == 1.0, "an only child is ranked first"


@pytest.mark.parametrize(("locate", "cut"), [("critic", 1), ("least-confident", 3)])
def test_where_a_wrong_solution_is_cut(locate: str, cut: int) -> None:
    policy = Mcts(expand=1, locate=locate)
    tell_all(policy, [outcome(0.4, correct=False, error=1, least_confident=3)])
    (trial,) = policy.ask()
    assert (trial.action, trial.parent, trial.options["revise_from"]) == (REVISE, 0, cut)


@pytest.mark.parametrize(("gate", "parent"), [("critic", None), ("always", 0)])
def test_the_gate_says_what_is_worked_on(gate: str, parent: int | None) -> None:
    policy = Mcts(expand=1, gate=gate)
    tell_all(policy, [outcome(0.8, correct=True)])
    assert policy.ask()[0].parent == parent
    unscored = Mcts(expand=1, gate=gate)
    tell_all(unscored, [outcome(0.8)])
    assert unscored.ask()[0].parent is None, "there is no critique to go by"


def test_three_arms_of_depth_three_with_one_reward() -> None:
    """Recipe 11: after the search the root's best valued arm is the right one.

    Visits cannot say so here: a finished leaf is not entered again, so all arms are searched through.
    """
    for seed in range(5):
        policy = Mcts(nodes="step", leaf="rollout", selection="agent-q", expand=3, max_depth=3, seed=seed)
        draw = random.Random(seed)
        arms: dict[int, tuple[int, ...]] = {}
        for _ in range(200):
            trials = policy.ask()
            if not trials:
                break
            for trial in trials:
                before = () if trial.parent is None else arms[trial.parent]
                siblings = [child for child in policy.tree.children(trial.parent) if child != trial.id]
                whole = "max_steps" not in trial.options
                arm = before
                while len(arm) < 3:
                    arm = (*arm, draw.randrange(3) if whole else len(siblings) % 3)
                    if not whole:
                        break
                arms[trial.id] = arm
                reward = 1.0 if arm == (1, 2, 0) else 0.0
                policy.tell(trial.id, prefix(reward if len(arm) == 3 else 0.5, complete=len(arm) == 3))
        roots = [policy.tree[root] for root in policy.tree.roots[:3]]
        best = max(roots, key=lambda node: node.value / node.visits)
        assert arms[best.id] == (1,)
        assert policy.best is not None and arms[policy.best] == (1, 2, 0)


def test_the_answer_may_be_the_most_visited_path() -> None:
    policy = Mcts(expand=2, answer="visits", c_puct=0.0)
    tell_all(policy, [wrong(0.8), wrong(0.1), wrong(0.7), wrong(0.6)])
    by_visits = policy.best
    by_score = Mcts(expand=2, c_puct=0.0)
    tell_all(by_score, [wrong(0.8), wrong(0.1), wrong(0.7), wrong(0.6)])
    assert by_score.best == 0
    assert by_visits is not None and policy.tree[by_visits].parent == 0
    assert Mcts(answer="visits").best is None


def test_a_good_enough_solution_ends_it() -> None:
    policy = Mcts(stop_at=0.5)
    wrong_but_high = Outcome(score=0.9, verdict=Verdict.INCORRECT)
    tell_all(policy, [outcome(0.4, correct=True), wrong_but_high, outcome(0.6, correct=True)])
    assert (policy.stopped, policy.best) == ("accepted", 2)


def test_the_cost_of_a_trial_does_not_grow_with_the_tree() -> None:
    """Counted, not timed: how many children are looked at per trial."""
    policy = Mcts(selection="uct")
    scores(policy, 3000)
    doors = [len(place.doors) for place in policy._places]
    assert max(doors) <= 5
    assert sum(doors) <= 3000
