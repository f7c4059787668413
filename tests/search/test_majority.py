from __future__ import annotations

from actorcritic.search.majority import Majority
from tests.search.simulation import outcome, tell_all


def winner(*keys: str | None) -> int | None:
    policy = Majority(n=len(keys))
    tell_all(policy, [outcome(key=key) for key in keys])
    assert policy.stopped == "completed"
    return policy.best


def test_plurality_wins_and_its_first_voter_is_the_answer() -> None:
    assert winner("a", "b", "c", "b") == 1


def test_a_tie_goes_to_the_answer_seen_first() -> None:
    assert winner("a", "b", "b", "a") == 0
    assert winner("b", "a", "a", "b", "c") == 0


def test_no_answer_never_votes() -> None:
    assert winner(None, None, "a") == 2
    assert winner(None, None) == 0


def test_a_truncated_solution_does_not_vote() -> None:
    policy = Majority(n=3)
    cut = outcome(key="a", complete=False)
    tell_all(policy, [cut, cut, outcome(key="b")])
    assert policy.best == 2


def test_the_first_seen_is_by_trial_not_by_arrival() -> None:
    policy = Majority(n=2)
    policy.ask(2)
    policy.tell(1, outcome(key="b"))
    assert policy.best == 1
    policy.tell(0, outcome(key="a"))
    assert policy.best == 0


def test_failures_leave_the_rest_in_play() -> None:
    policy = Majority(n=4)
    tell_all(policy, [None, outcome(key="a"), None, outcome(key="a")])
    assert (policy.stopped, policy.best) == ("completed", 1)


def test_critics_are_not_asked() -> None:
    assert all(trial.options["critique"] is False for trial in Majority(n=3).ask(3))
