from __future__ import annotations

from actorcritic.search.best_of_n import BestOfN
from actorcritic.types import Outcome, Verdict
from tests.search.simulation import outcome, tell_all


def test_the_highest_score_wins_never_the_last() -> None:
    policy = BestOfN(n=3)
    trials = tell_all(policy, [outcome(0.2), outcome(0.9), outcome(0.3)])
    assert (policy.best, policy.stopped) == (1, "completed")
    assert all(trial.options["critique"] is True for trial in trials)


def test_by_logprob_the_critic_is_neither_asked_nor_heard() -> None:
    policy = BestOfN(n=2, score="logprob")
    trials = tell_all(policy, [outcome(0.0, logprob=-0.1), outcome(1.0, logprob=-0.5)])
    assert policy.best == 0
    assert all(trial.options["critique"] is False for trial in trials)


def test_unscored_is_not_zero() -> None:
    """A bare verdict ranks at the ends of the scale; an unscored one below all that may be right."""
    policy = BestOfN(n=3)
    tell_all(policy, [Outcome(verdict=Verdict.INCORRECT), outcome(), Outcome(verdict=Verdict.INCORRECT)])
    assert policy.best == 1
    policy = BestOfN(n=2)
    tell_all(policy, [outcome(), outcome(0.01)])
    assert policy.best == 1
    policy = BestOfN(n=3)
    tell_all(policy, [outcome(0.9), Outcome(verdict=Verdict.CORRECT), outcome()])
    assert policy.best == 1


def test_without_a_count_it_goes_on() -> None:
    policy = BestOfN()
    tell_all(policy, [outcome(1.0, correct=True)] * 50)
    assert policy.stopped is None
    assert len(policy.ask(20)) == 20


def test_only_the_first_trial_is_greedy() -> None:
    policy = BestOfN(first="greedy", temperature=0.7)
    assert [trial.options["temperature"] for trial in policy.ask(3)] == [0.0, 0.7, 0.7]


def test_a_good_enough_sample_ends_it_and_is_the_answer() -> None:
    policy = BestOfN(n=5, stop_at=0.7)
    first, second, third = policy.ask(3)
    policy.tell(first.id, outcome(0.9, correct=False))
    assert (policy.stopped, policy.best) == (None, first.id), "a score is no verdict"
    policy.tell(second.id, outcome(0.8, correct=True))
    assert (policy.stopped, policy.best, policy.cancelled()) == ("accepted", second.id, (third.id,))
