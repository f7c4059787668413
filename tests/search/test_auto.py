from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from actorcritic.search.auto import Auto
from actorcritic.search.options import OptionValue
from actorcritic.types import Action, Outcome
from tests.search.simulation import BROKEN, Driver, Random, outcome, tell_all

PROPOSE, REVISE, REFINE = Action.PROPOSE, Action.REVISE, Action.REFINE


def wrong(score: float, *, error: int = 0) -> Outcome:
    return outcome(score, correct=False, error=error)


def probing(probes: int = 4, options: Mapping[str, OptionValue] = MappingProxyType({})) -> Auto:
    return Auto(seed=0, **{"probe": probes, "threshold": 0.5, **options})


def chosen(policy: Auto) -> str:
    assert policy._chosen is not None
    return policy._chosen.NAME


@pytest.mark.parametrize(
    ("scores", "options", "name"),
    [
        ((0.6, 0.4, 0.6, 0.4), {}, "revise"),
        ((0.6, 0.4, 0.6, 0.3), {}, "mcts"),
        ((0.6, 0.4, 0.6, 0.4), {"easy": "refine"}, "refine"),
        ((0.1, 0.1, 0.1, 0.1), {"hard": "ab-mcts"}, "ab-mcts"),
        ((0.1, 0.1, 0.1, 0.1), {"threshold": 0.05}, "revise"),
    ],
)
def test_the_probes_decide(scores: tuple[float, ...], options: dict[str, OptionValue], name: str) -> None:
    policy = probing(options=options)
    trials = policy.ask(9)
    assert [trial.action for trial in trials] == [PROPOSE] * 4
    for trial, score in zip(trials, scores, strict=True):
        policy.tell(trial.id, wrong(score))
    assert chosen(policy) == name
    assert len(policy.tree) == 4, "the probes are kept"
    assert policy.best == scores.index(max(scores))


@pytest.mark.parametrize(("error", "name"), [(0, "mcts"), (1, "revise"), (3, "revise")])
def test_steps_that_a_revision_would_keep_make_a_problem_easy(error: int, name: str) -> None:
    """One probe is enough for it; of its four steps the critic lets those before the error stand."""
    policy = Auto()
    tell_all(policy, [wrong(0.01, error=error)])
    assert chosen(policy) == name


@pytest.mark.parametrize("hard", ["mcts", "ab-mcts"])
def test_the_search_of_a_hard_problem_locates_and_gates_as_told(hard: str) -> None:
    policy = probing(1, {"hard": hard, "locate": "least-confident", "gate": "always", "sure": 0.9})
    tell_all(policy, [wrong(0.1)])
    assert policy._chosen is not None and policy._chosen.NAME == hard
    options = policy._chosen.options
    assert (options["locate"], options["gate"], options["sure"]) == ("least-confident", "always", 0.9)


def test_an_easy_problem_is_revised_or_refined_as_told() -> None:
    revising = probing(1, {"locate": "least-confident"})
    tell_all(revising, [outcome(0.9, correct=False, error=0, least_confident=2)])
    assert revising.ask()[0].options["revise_from"] == 2
    refining = probing(1, {"easy": "refine", "gate": "always", "accept": 1.0})
    tell_all(refining, [outcome(0.9, correct=True)])
    assert refining.ask()[0].action is REFINE


def test_the_higher_of_score_and_kept_steps_counts() -> None:
    for score, error, name in ((0.6, 0, "revise"), (0.1, 2, "revise"), (0.4, 1, "mcts")):
        policy = probing(1)
        tell_all(policy, [wrong(score, error=error)])
        assert chosen(policy) == name


def test_revision_begins_with_the_probes() -> None:
    policy = probing()
    tell_all(policy, [wrong(0.6)] * 4)
    assert [(trial.action, trial.parent) for trial in policy.ask(2)] == [(REVISE, 0), (REVISE, 1)]


def test_an_accepted_probe_ends_it_at_once() -> None:
    policy = probing()
    policy.ask(4)
    policy.tell(1, outcome(0.9, correct=True))
    assert (policy.stopped, policy.best, policy.cancelled()) == ("accepted", 1, (0, 2, 3))
    later = probing()
    tell_all(later, [outcome(0.7, correct=True)] * 4 + [outcome(0.95, correct=True)])
    assert (later.stopped, later.best) == ("accepted", 4)


def test_a_hard_problem_s_search_ends_when_the_critic_accepts() -> None:
    policy = probing()
    tell_all(policy, [wrong(0.1)] * 4 + [outcome(0.3, correct=True), outcome(0.95, correct=True)])
    assert (chosen(policy), policy.stopped, policy.best) == ("mcts", "accepted", 5)


def test_unscored_probes_are_not_taken_for_hard_ones() -> None:
    policy = probing()
    policy.ask(4)
    for trial in range(3):
        policy.tell(trial, outcome())
    policy.fail(3, BROKEN)
    assert chosen(policy) == "revise"


def test_more_probes_than_a_node_has_children() -> None:
    policy = probing(9)
    tell_all(policy, [wrong(0.1)] * 9)
    assert chosen(policy) == "mcts"
    assert len(policy.tree) == 9


def test_the_count_holds_over_both_parts() -> None:
    policy = Auto(n=10)
    Driver(Random(right=0.0, unscored=0.0), width=3).run(policy)
    assert (policy.stopped, len(policy.tree)) == ("completed", 10)
    few = probing(options={"n": 2})
    tell_all(few, [wrong(0.1)] * 2)
    assert (few.stopped, len(few.tree)) == ("completed", 2)
