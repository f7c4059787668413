from __future__ import annotations

from actorcritic.search.greedy import Greedy
from tests.search.simulation import outcome, tell_all


def test_one_trial_at_temperature_zero_without_a_critic() -> None:
    policy = Greedy()
    (trial,) = policy.ask(5)
    assert trial.options == {"critique": False, "temperature": 0.0}
    policy.tell(trial.id, outcome(complete=False))
    assert (policy.stopped, policy.best, policy.ask()) == ("completed", 0, ())


def test_a_failure_is_its_end() -> None:
    policy = Greedy()
    tell_all(policy, [None])
    assert (policy.stopped, policy.best) == ("failed", None)
