from __future__ import annotations

import pytest

from actorcritic.search.revise import Revise
from actorcritic.types import Action
from tests.search.simulation import outcome, shape, tell_all

PROPOSE, REVISE = Action.PROPOSE, Action.REVISE


def test_it_goes_on_from_the_first_error_of_the_last_version() -> None:
    policy = Revise()
    trials = tell_all(policy, [outcome(0.1, error=2), outcome(0.2, error=3), outcome(0.9, correct=True)])
    assert shape(policy) == [(PROPOSE, None), (REVISE, 0), (REVISE, 1)]
    assert [trial.options.get("revise_from") for trial in trials] == [None, 2, 3]
    assert (policy.stopped, policy.best, policy.ask()) == ("accepted", 2, ())


@pytest.mark.parametrize(("revisions", "starts"), [(0, [0, 1, 2, 3]), (1, [0, 2, 4]), (2, [0, 3]), (3, [0, 4])])
def test_after_so_many_revisions_a_fresh_attempt_begins(revisions: int, starts: list[int]) -> None:
    policy = Revise(max_revisions=revisions)
    tell_all(policy, [outcome(0.1, error=1)] * (starts[-1] + 1))
    assert [node.id for node in policy.tree if node.parent is None] == starts


def test_without_a_located_error_only_a_fresh_attempt_helps() -> None:
    """Neither an unscored critique nor a verdict without a step says where to cut."""
    for told in (outcome(), outcome(0.1, correct=False), outcome(0.9, correct=True, complete=False)):
        policy = Revise()
        tell_all(policy, [told, outcome()])
        assert shape(policy) == [(PROPOSE, None), (PROPOSE, None)]
        assert policy.stopped is None


def test_unscored_never_passes() -> None:
    policy = Revise(rounds=3)
    tell_all(policy, [outcome(1.0), outcome(), outcome()])
    assert policy.stopped == "completed"


def test_the_accepted_one_is_the_answer_even_below_a_higher_score() -> None:
    policy = Revise()
    tell_all(policy, [outcome(0.97, error=3), outcome(0.95, correct=True)])
    assert (policy.stopped, policy.best) == ("accepted", 1)


def test_the_best_so_far_stands_when_revision_makes_it_worse() -> None:
    policy = Revise(rounds=2)
    tell_all(policy, [outcome(0.4, error=1), outcome(0.1, error=1)])
    assert policy.best == 0


def test_accept_asks_for_a_score_too() -> None:
    policy = Revise()
    tell_all(policy, [outcome(0.8, correct=True), outcome(0.9, correct=True)])
    assert (policy.stopped, policy.best, shape(policy)) == ("accepted", 1, [(PROPOSE, None)] * 2)
    lenient = Revise(accept=0.5)
    tell_all(lenient, [outcome(0.4, correct=True), outcome(0.5, correct=True)])
    assert (lenient.stopped, lenient.best) == ("accepted", 1)


def test_a_bare_verdict_counts_as_certain() -> None:
    """A chat model's critique may come without any score."""
    policy = Revise()
    tell_all(policy, [outcome(correct=True)])
    assert (policy.stopped, policy.best) == ("accepted", 0)


def test_without_an_accepted_one_the_best_by_score_is_the_answer() -> None:
    policy = Revise(rounds=3)
    tell_all(policy, [outcome(0.6, correct=True), outcome(0.8, correct=True), outcome(0.7, correct=True)])
    assert (policy.stopped, policy.best) == ("completed", 1)


def test_chains_run_side_by_side_and_end_together() -> None:
    policy = Revise()
    assert [trial.action for trial in policy.ask(3)] == [PROPOSE] * 3
    policy.tell(0, outcome(0.1, error=1))
    policy.tell(1, outcome(0.2, error=2))
    assert [(trial.action, trial.parent) for trial in policy.ask(3)] == [(REVISE, 0), (REVISE, 1), (PROPOSE, None)]
    policy.tell(2, outcome(0.9, correct=True))
    assert (policy.stopped, policy.cancelled()) == ("accepted", (3, 4, 5))
    policy.tell(3, outcome(1.0, correct=True))
    assert policy.best == 2


def test_a_failed_revision_ends_its_chain_only() -> None:
    policy = Revise()
    tell_all(policy, [outcome(0.3, error=1), None, outcome(0.1, error=0)])
    assert shape(policy) == [(PROPOSE, None), (REVISE, 0), (PROPOSE, None)]
    assert policy.best == 0


def test_at_the_least_confident_step_no_critic_is_needed() -> None:
    policy = Revise(locate="least-confident", max_revisions=1)
    trials = tell_all(
        policy,
        [
            outcome(logprob=-0.5, least_confident=2),
            outcome(logprob=-0.2, least_confident=0),
            outcome(1.0, correct=True, logprob=-0.3),
            outcome(logprob=-0.4),
        ],
    )
    assert not policy.needs_critic
    assert all(trial.options["critique"] is False for trial in trials)
    assert shape(policy) == [(PROPOSE, None), (REVISE, 0), (PROPOSE, None), (PROPOSE, None)]
    assert trials[1].options["revise_from"] == 2
    assert (policy.best, policy.stopped) == (1, None)
