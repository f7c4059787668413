"""Agent Q: explored siblings alone, a margin, one prompt for both, the logged log-probabilities."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.export.recipes.agent_q import mixed_values
from actorcritic.trajectory.attempts import Derived, EpisodeAttempt
from actorcritic.types import Action, Outcome
from tests.export.log import attempt, content, episode, exported, rows_of, solved


def action(
    trial: int, text: str, value: float | None, *, critic: float | None = None, logprob: float = -0.5
) -> EpisodeAttempt:
    visits = None if value is None else 1
    return attempt(
        trial, solved(text, complete=False, logprob=logprob), outcome=Outcome(score=critic), visits=visits, value=value
    )


def test_acceptance() -> None:
    """Section 12: Q = [.9, .5, .45, unvisited], theta = .3 gives the pairs (0, 1) and (0, 2) with one prompt."""
    actions = [action(i, f"go {i}", q, logprob=-0.1 * (i + 1)) for i, q in enumerate((0.9, 0.5, 0.45, None))]
    export = exported("agent-q:theta=0.3", episode(*actions))
    pairs = [(content(row["chosen"]), content(row["rejected"])) for row in rows_of(export)]
    assert sorted(pairs) == [("go 0", "go 1"), ("go 0", "go 2")]
    first, second = rows_of(export)
    assert first["prompt"] == second["prompt"]
    for row in (first, second):
        assert math.isclose(float(str(row["ref_chosen_logps"])), -0.2)
        assert math.isclose(float(str(row["ref_rejected_logps"])), -0.4 if content(row["rejected"]) == "go 1" else -0.6)
    assert export.drops == {"action not explored": 1, "values too close": 1}
    assert export.trainer_settings["precompute_ref_log_probs"] is True


def test_the_state_is_in_the_prompt_and_not_in_the_action() -> None:
    root = action(0, "open", 0.5)
    good = attempt(1, solved("open", "win", kept=1), action=Action.EXTEND, parent=0, visits=1, value=1.0, correct=True)
    bad = attempt(2, solved("open", "lose", kept=1), action=Action.EXTEND, parent=0, visits=1, value=0.0, correct=False)
    (row,) = rows_of(exported("agent-q", episode(root, good, bad)))
    assert row["prompt"] == [
        {"role": "user", "content": "What is six times seven?"},
        {"role": "assistant", "content": "open"},
    ]
    assert (content(row["chosen"]), content(row["rejected"])) == ("win", "lose")
    assert row["ref_chosen_logps"] == -1.0, "of the action's own two tokens"


@pytest.mark.parametrize(("alpha", "chosen"), [(1.0, "a"), (0.0, "b")])
def test_alpha_weighs_outcomes_against_the_critic(alpha: float, chosen: str) -> None:
    siblings = episode(action(0, "a", 0.9, critic=0.2), action(1, "b", 0.1, critic=0.8))
    (row,) = rows_of(exported(f"agent-q:alpha={alpha}", siblings))
    assert content(row["chosen"]) == chosen


@given(st.permutations([0.1, 0.4, 0.9]), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_where_means_tie_pairs_follow_the_rank_and_alpha_1_ignores_it(critic: list[float], alpha: float) -> None:
    """Section 11a: the mean outcomes are equal, so that the critic's ranking alone says who is chosen."""
    siblings = episode(*(action(i, f"go {i}", 0.5, critic=score) for i, score in enumerate(critic)))
    rows = rows_of(exported(f"agent-q:alpha={alpha},theta=0.01", siblings))
    places = [(int(content(row["chosen"])[3:]), int(content(row["rejected"])[3:])) for row in rows]
    assert len(places) == 3 and all(critic[better] > critic[worse] for better, worse in places)
    assert exported("agent-q:alpha=1,theta=0.01", siblings).drops == {"values too close": 3}


@given(st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 1)), min_size=1, max_size=6), st.floats(0, 1))
def test_mixed_values_stay_in_range_and_ignore_order(pairs: list[tuple[float, float | None]], alpha: float) -> None:
    values, critic = [v for v, _ in pairs], [c for _, c in pairs]
    mixed = mixed_values(values, critic, alpha)
    assert all(-1e-9 <= q <= 1 + 1e-9 for q in mixed)
    assert mixed_values(values[::-1], critic[::-1], alpha) == mixed[::-1]


def test_what_is_left_out_is_counted() -> None:
    same = episode(action(0, "a", 0.9), action(1, "a", 0.1))
    unlike = episode(action(0, "a" * 50, 0.9), action(1, "b", 0.1), name="q", text="Two?")
    export = exported("agent-q", same, unlike)
    assert export.total == 0
    assert export.drops == {"actions of very unlike length": 1, "same action twice": 1}
    assert exported("agent-q:length_ratio=50", unlike).total == 1


def test_the_cap_keeps_the_widest_margins() -> None:
    actions = [action(i, f"go {i}", q) for i, q in enumerate((1.0, 0.5, 0.0))]
    export = exported("agent-q:cap=1", episode(*actions))
    (row,) = rows_of(export)
    assert (content(row["chosen"]), content(row["rejected"])) == ("go 0", "go 2")
    assert export.drops == {"over the cap of its state": 2}


def test_visits_can_be_asked_for() -> None:
    siblings = episode(action(0, "a", 0.9), action(1, "b", 0.1))
    assert exported("agent-q:visits=2", siblings).total == 0


def test_without_log_probabilities_there_is_no_reference() -> None:
    def silent(trial: int, value: float) -> EpisodeAttempt:
        solution = solved(f"go {trial}")
        steps = tuple(type(step)(text=step.text, raw=step.raw) for step in solution.steps)
        return attempt(trial, type(solution)(steps=steps), visits=1, value=value)

    pair = episode(silent(0, 0.9), silent(1, 0.1))
    assert exported("agent-q", pair).drops == {"no log-probabilities": 1}
    (row,) = rows_of(exported("agent-q:reference=none", pair))
    assert "ref_chosen_logps" not in row


def test_the_reference_may_be_the_model_as_it_is_now() -> None:
    made = tuple(
        Derived(step="rescore", trial=trial, payload={"model": "m", "logprobs": list(values)})
        for trial, values in ((0, (-9.0, -9.0)), (1, (-0.25, -0.5)), (0, (-1.0, -0.5)))
    )
    pair = episode(action(0, "go 0", 0.9), action(1, "go 1", 0.1), derived=made)
    (row,) = rows_of(exported("agent-q:reference=rescored", pair))
    assert (row["ref_chosen_logps"], row["ref_rejected_logps"]) == (-1.5, -0.75), "the last word counts"
    lacking = episode(action(0, "go 0", 0.9), action(1, "go 1", 0.1), derived=made[:1])
    assert exported("agent-q:reference=rescored", lacking).drops == {"no log-probabilities": 1}
    with pytest.raises(InputError, match="--step rescore"):
        exported("agent-q:reference=rescored", episode(action(0, "go 0", 0.9), action(1, "go 1", 0.1)))


def test_a_rollout_is_no_sibling_of_the_steps() -> None:
    """A search by steps plays each of them out to the end; what that wrote is many actions, not one."""
    step = {"max_steps": 1}
    tried = [
        attempt(0, solved("open", complete=False), visits=3, value=0.6),
        attempt(1, solved("open", "win", kept=1, complete=False), action=Action.EXTEND, parent=0, visits=1, value=1.0),
        attempt(2, solved("open", "lose", kept=1, complete=False), action=Action.EXTEND, parent=0, visits=1, value=0.0),
        attempt(3, solved("open", "xxx", "yyy", kept=1), action=Action.EXTEND, parent=0, visits=1, value=0.5),
    ]
    searched = [replace(one, trial=replace(one.trial, options=step if one.id != 3 else {})) for one in tried]
    rows = rows_of(exported("agent-q:theta=0.1", episode(*searched)))
    assert [(content(row["chosen"]), content(row["rejected"])) for row in rows] == [("win", "lose")]
