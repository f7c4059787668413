"""Beam, DVTS and particles: what they write, whom they keep, and that search pays where the critic sees something."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from actorcritic.errors import InputError
from actorcritic.search.base import TreePolicy
from actorcritic.search.beam import Beam
from actorcritic.search.dvts import Dvts
from actorcritic.search.particle import Particle
from actorcritic.search.resampling import RESAMPLING
from actorcritic.search.strategies import make_policy, parse_strategy
from actorcritic.types import Action, Outcome, Trial, Verdict
from tests.search.simulation import BROKEN, outcome, shape

PROPOSE, EXTEND = Action.PROPOSE, Action.EXTEND


def step(score: float | None = None, *, complete: bool = False, key: str | None = None) -> Outcome:
    return outcome(score, complete=complete, key=key)


def round_of(policy: TreePolicy, told: list[Outcome | None]) -> list[Trial]:
    """Ask for a whole round and tell it; None = a failure."""
    trials = list(policy.ask(99))
    assert len(trials) == len(told)
    for trial, result in zip(trials, told, strict=True):
        if result is None:
            policy.fail(trial.id, BROKEN)
        else:
            policy.tell(trial.id, result)
    return trials


def parents(policy: TreePolicy) -> list[int | None]:
    """Return whom the next round goes on from."""
    return [trial.parent for trial in policy.ask(99)]


def test_a_beam_keeps_the_best_and_copies_them() -> None:
    policy = Beam(n=4, beam_width=2, searches=1)
    trials = round_of(policy, [step(0.2), step(0.9), step(0.5), None])
    assert all(trial.options["max_steps"] == 1 and trial.options["critique"] for trial in trials)
    assert parents(policy) == [1, 2, 1, 2]


def test_finished_beams_leave_and_too_few_are_copied_more_often() -> None:
    policy = Beam(n=4, beam_width=2, searches=1)
    round_of(policy, [step(0.9, complete=True), step(0.1), None, None])
    round_of(policy, [step(0.3, complete=True), step(0.8, complete=True), None, None])
    assert shape(policy)[4:] == [(EXTEND, 1)] * 4
    assert (policy.stopped, policy.best) == ("completed", 0)


def test_unscored_prefixes_go_on_only_where_nothing_is_scored() -> None:
    policy = Beam(n=2, beam_width=2)
    round_of(policy, [step(), step(0.0)])
    assert parents(policy) == [1, 1]
    policy = Beam(n=2, beam_width=2)
    round_of(policy, [step(), step()])
    assert parents(policy) == [0, 0]


def test_nobody_waits_for_a_round_that_is_not_over() -> None:
    policy = Beam(n=2, beam_width=2)
    first, second = policy.ask(9)
    policy.tell(first.id, step(0.5))
    assert policy.ask() == ()
    policy.fail(second.id, BROKEN)
    assert parents(policy) == [0, 0]


def test_the_last_iteration_writes_to_the_end() -> None:
    policy = Beam(n=1, beam_width=1, iterations=2, searches=1)
    (first,) = round_of(policy, [step(0.5)])
    (last,) = round_of(policy, [step(0.5)])
    assert ("max_steps" in first.options, "max_steps" in last.options) == (True, False)
    assert policy.stopped == "completed", "though it was cut off"


def test_while_there_is_budget_the_next_search_begins() -> None:
    policy = Beam(n=2, beam_width=1)
    for _ in range(3):
        round_of(policy, [step(0.5, complete=True), step(0.5, complete=True)])
    assert shape(policy) == [(PROPOSE, None)] * 6
    assert policy.stopped is None


def test_lookahead_judges_where_a_step_leads_and_keeps_the_step() -> None:
    policy = Beam(n=2, beam_width=2, lookahead=3)
    steps = round_of(policy, [step(), step()])
    assert [trial.options for trial in steps] == [{"critique": False, "max_steps": 1}] * 2
    looks = round_of(policy, [step(0.2), step(0.7)])
    assert [(trial.action, trial.parent) for trial in looks] == [(EXTEND, 0), (EXTEND, 1)]
    assert all(trial.options == {"critique": True, "max_steps": 3, "temperature": 0.0} for trial in looks)
    assert parents(policy) == [1, 1], "the second step led further, and the steps after it are not kept"


def test_lookahead_of_a_finished_step_is_a_judgement_and_costs_no_tokens_of_the_actor() -> None:
    policy = Beam(n=2, beam_width=2, lookahead=1, searches=1)
    round_of(policy, [step(complete=True, key="a"), step()])
    looks = round_of(policy, [step(0.4, complete=True, key="a"), step(0.9, complete=True, key="b")])
    assert [(trial.action, trial.parent) for trial in looks] == [(Action.JUDGE, 0), (EXTEND, 1)]
    assert policy.best == 3, "what a look ahead finishes may be the answer"
    assert parents(policy) == [1, 1]


def test_a_lookahead_that_fails_leaves_its_step_unscored() -> None:
    policy = Beam(n=2, beam_width=2, lookahead=1)
    round_of(policy, [step(), step()])
    round_of(policy, [step(0.1), None])
    assert parents(policy) == [0, 0]


def test_the_last_iteration_is_judged_without_lookahead() -> None:
    policy = Beam(n=1, beam_width=1, lookahead=1, iterations=2, searches=1)
    round_of(policy, [step()])
    round_of(policy, [step(0.5)])
    (last,) = round_of(policy, [step(0.6, complete=True)])
    assert last.options == {"critique": True} and policy.stopped == "completed"


def test_lookahead_sees_a_trap_that_a_step_hides() -> None:
    """A world where the step that looks better leads nowhere: only looking ahead finds the way."""
    found = {lookahead: trapped(lookahead) for lookahead in (0, 1)}
    assert found == {0: 0.1, 1: 0.9}


def trapped(lookahead: int) -> float | None:
    """Return the score of the answer: the first of two steps looks right (.8) and ends in .1, the other .3 and .9."""
    policy = Beam(n=2, beam_width=2, lookahead=lookahead, searches=1)
    good: dict[int, bool] = {}
    while policy.stopped is None:
        for trial in policy.ask(2):
            good[trial.id] = trial.id == 1 if trial.parent is None else good[trial.parent]
            ends = trial.parent is not None
            score = (0.9 if good[trial.id] else 0.1) if ends else (0.3 if good[trial.id] else 0.8)
            policy.tell(trial.id, step(score if trial.options["critique"] else None, complete=ends))
    found = None if policy.best is None else policy.tree[policy.best].outcome
    return None if found is None else found.score


def test_beams_must_share_out() -> None:
    for policy in (Beam, Dvts):
        with pytest.raises(InputError, match="multiple of beam_width=4"):
            policy(n=6)


def test_dvts_keeps_the_best_of_each_subtree() -> None:
    policy = Dvts(n=4, beam_width=2, searches=1)
    round_of(policy, [step(0.9), step(0.8), step(0.1), step(0.2)])
    round_of(policy, [step(0.5), step(0.9, complete=True), None, step(0.1)])
    assert shape(policy)[4:] == [(EXTEND, 0), (EXTEND, 0), (EXTEND, 3), (EXTEND, 3)]
    assert parents(policy) == [7, 7], "a subtree whose best is finished is finished"


def test_dvts_has_independent_subtrees_by_default() -> None:
    """One subtree would be greedy best-of-M."""
    policy = Dvts(searches=1)
    n, width = policy.options.whole("n"), policy.options.whole("beam_width")
    assert width == 4 and n // width >= 2
    round_of(policy, [step(0.9 if place < width else 0.1) for place in range(n)])
    assert set(parents(policy)) == {0, width}, "a low subtree is not crowded out"


def test_dvts_at_its_ends() -> None:
    """Recipe 14 c: beam_width = n is greedy step-wise best-of-N, beam_width = 1 is n samples."""
    greedy = Dvts(n=3, beam_width=3)
    round_of(greedy, [step(0.1), step(0.7), step(0.3)])
    assert parents(greedy) == [1, 1, 1]
    samples = Dvts(n=3, beam_width=1)
    round_of(samples, [step(0.1), step(0.7), step(0.3)])
    assert parents(samples) == [0, 1, 2]


def test_an_answer_by_vote() -> None:
    for answer, best in (("best", 0), ("vote", 1)):
        policy = Dvts(n=3, beam_width=1, answer=answer)
        told = [step(0.5, complete=True, key=key) for key in "abb"]
        told[0] = step(0.6, complete=True, key="a")
        round_of(policy, list(told))
        assert policy.best == best


def test_a_good_enough_solution_ends_it() -> None:
    policy = Beam(n=2, beam_width=1, stop_at=0.7)
    trials = policy.ask(2)
    policy.tell(trials[0].id, outcome(0.8, correct=True))
    assert (policy.stopped, policy.cancelled(), policy.best) == ("accepted", (1,), 0)


# --- particles -------------------------------------------------------------------------------------------------------


def survivors(told: list[Outcome | None], **options: float | str) -> Counter[int | None]:
    """Return how often each of the first round's particles is gone on with, over many seeds."""
    counts: Counter[int | None] = Counter()
    for seed in range(400):
        policy = Particle(seed=seed, n=len(told), **options)
        round_of(policy, told)
        counts.update(parents(policy))
    return counts


def test_weights_are_the_softmax_of_logits() -> None:
    counts = survivors([step(0.8), step(0.2)])
    assert counts[0] / (counts[0] + counts[1]) == pytest.approx(16 / 17, abs=0.03)


@pytest.mark.parametrize(("flat", "share"), [(1e6, 0.5), (1e-3, 1.0)])
def test_the_weight_temperature_goes_from_greedy_to_uniform(flat: float, share: float) -> None:
    """Recipe 14 e."""
    counts = survivors([step(0.9), step(0.6)], weight_temperature=flat)
    assert counts[0] / (counts[0] + counts[1]) == pytest.approx(share, abs=0.05)


def test_lost_and_unscored_particles_are_not_drawn() -> None:
    assert set(survivors([step(0.01), None, step(), step(0.01)])) == {0, 3}
    assert set(survivors([step(), None, step()])) == {0, 2}, "unless none is scored"
    policy = Particle(n=2, searches=1)
    round_of(policy, [None, None])
    assert policy.stopped == "failed"


def test_finished_particles_take_part_in_resampling_and_cost_nothing() -> None:
    policy = Particle(n=2, weight_temperature=1e-3, searches=1)
    round_of(policy, [step(0.9, complete=True), step(0.1)])
    assert (policy.stopped, policy.best) == ("completed", 0)


def test_gibbs_keeps_a_reference() -> None:
    policy = Particle(n=3, gibbs_rounds=2, weight_temperature=1e-3, searches=1)
    round_of(policy, [step(0.9), step(0.1), step(0.1)])
    round_of(policy, [step(0.9, complete=True), step(0.2, complete=True), step(0.2, complete=True)])
    assert policy.stopped is None
    begun = round_of(policy, [step(0.1), step(0.1)])
    assert [trial.action for trial in begun] == [PROPOSE, PROPOSE], "the reference holds the third place"
    assert parents(policy) == [0, 0], "its first step was the best"


@pytest.mark.parametrize("name", RESAMPLING)
def test_resampling_is_unbiased(name: str) -> None:
    draw = random.Random(1)
    for _ in range(10):
        weights = [draw.random() if draw.random() < 0.8 else 0.0 for _ in range(5)] + [0.1]
        counts = Counter[int]()
        for _ in range(1500):
            chosen = RESAMPLING[name](weights, 6, draw)
            assert len(chosen) == 6
            counts.update(chosen)
        for place, weight in enumerate(weights):
            expected = 6 * weight / sum(weights)
            assert counts[place] / 1500 == pytest.approx(expected, abs=0.12)
            assert counts[place] == 0 or weight > 0


def test_each_method_leaves_its_own_amount_of_chance() -> None:
    """Equal weights: only multinomial drawing loses any; uneven ones tell the others apart."""
    draw = random.Random(2)
    even = {name: kinds(name, [1, 1, 1, 1], draw) for name in RESAMPLING}
    assert [name for name, seen in even.items() if seen > 1] == ["multinomial"]
    uneven = {name: kinds(name, [0.35, 0.35, 0.3], draw) for name in RESAMPLING}
    assert (uneven["systematic"], uneven["residual"]) == (3, 3)
    assert uneven["multinomial"] > uneven["stratified"] > 3


def kinds(name: str, weights: list[float], draw: random.Random) -> int:
    """Return how many different outcomes there are for four draws."""
    return len({tuple(sorted(RESAMPLING[name](weights, 4, draw))) for _ in range(400)})


# --- does search pay? ------------------------------------------------------------------------------------------------


@dataclass
class Maze:
    """Five steps, each right with p = .6; the critic sees the prefix with noise sigma."""

    sigma: float
    draw: random.Random

    def run(self, text: str, steps: int) -> bool:
        """Search until so many steps have been written; return whether the answer is right."""
        policy = make_policy(parse_strategy(text), seed=self.draw.randrange(10**6), budgeted=True)
        right: dict[int, bool] = {}
        length: dict[int, int] = {}
        while steps > 0 and policy.stopped is None:
            for trial in policy.ask(8):
                start = 0 if trial.parent is None else length[trial.parent]
                most = trial.options.get("max_steps", 5 - start)
                assert isinstance(most, int)
                steps -= most
                length[trial.id] = start + most
                held = trial.parent is None or right[trial.parent]
                right[trial.id] = held and all(self.draw.random() < 0.6 for _ in range(most))
                policy.tell(trial.id, self.outcome(right[trial.id], length[trial.id]))
        assert policy.best is not None
        return right[policy.best]

    def outcome(self, right: bool, length: int) -> Outcome:
        score = min(max((0.9 if right else 0.1) + self.draw.gauss(0, self.sigma), 0.0), 1.0)
        return Outcome(
            complete=length == 5,
            vote_key="right" if right else self.draw.choice("abcdefgh"),
            score=score,
            verdict=Verdict.CORRECT if score > 0.5 else Verdict.INCORRECT,
            steps=length,
        )


def accuracy(text: str, sigma: float) -> float:
    maze = Maze(sigma=sigma, draw=random.Random(4))
    return sum(maze.run(text, 40) for _ in range(250)) / 250


@pytest.mark.parametrize("text", ["beam:n=8", "dvts:n=8", "particle:n=8"])
def test_with_a_sharp_critic_search_beats_the_vote_at_equal_cost(text: str) -> None:
    """Recipe 14 b, first half."""
    assert accuracy(text, 0.0) > accuracy("majority", 0.0) + 0.1


def test_with_a_blind_critic_the_weighted_vote_is_the_plain_one() -> None:
    """Recipe 14 b, second half."""
    assert accuracy("weighted-vote", 50.0) == pytest.approx(accuracy("majority", 0.0), abs=0.1)
