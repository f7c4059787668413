"""A score that is none, whoever hands it in, is its trial's failure: the solution stands unscored, all else goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from actorcritic.critic import FunctionCritic
from actorcritic.graphs.refinement import refinement_graph
from actorcritic.graphs.scoring import Scorers
from actorcritic.graphs.session import ProblemResult
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, solve_all
from actorcritic.graphs.trial import Attempt, outcome_of
from actorcritic.protocols import Critic, Meter, RewardModel
from actorcritic.reward_model import FunctionRewardModel, VerifierRewardModel
from actorcritic.search.ranking import check_outcome
from actorcritic.search.strategies import parse_strategy
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import Critique, Problem, Reference, Reward, Solution, Step, StepCritique, Verdict
from tests.graphs.world import HARD, world

PROBLEMS = [replace(HARD, id=f"p{number}") for number in range(4)]
BAD = "p2"
"""The problem whose scores are wrong."""

Give = Callable[[Problem], Any]


def said(problem: Problem, solution: Solution, give: Give) -> Critique:
    score = give(problem)
    steps = tuple(StepCritique(verdict=Verdict.INCORRECT, score=0.25) for _ in solution.steps)
    return Critique(steps=steps, verdict=Verdict.INCORRECT, score=score)


class OwnCritic:
    """A critic of a user's own class."""

    oracle = False

    def __init__(self, give: Give) -> None:
        self.give = give

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        return said(problem, solution, self.give)


class OwnScorer:
    """A reward model of a user's own class."""

    oracle = False

    def __init__(self, give: Give) -> None:
        self.give = give

    async def score(self, problem: Problem, solution: Solution, *, meter: Meter) -> Reward:
        return Reward(score=self.give(problem))


class OwnVerifier:
    """A verifier that answers with a number instead of yes or no."""

    def __init__(self, give: Give) -> None:
        self.give = give

    async def verify(self, problem: Problem, solution: Solution, reference: Reference) -> bool | None:
        return cast("bool", self.give(problem))


def by_critic(critic: Callable[[Give], Critic]) -> Callable[[Give], tuple[Critic, Scorers, str]]:
    return lambda give: (critic(give), Scorers(), "critic")


def by_reward_model(model: Callable[[Give], RewardModel]) -> Callable[[Give], tuple[Critic, Scorers, str]]:
    return lambda give: (world()[1], Scorers(reward_model=model(give)), "reward-model")


def by_verifier(give: Give) -> tuple[Critic, Scorers, str]:
    return world()[1], Scorers(verifier=VerifierRewardModel(OwnVerifier(give), oracle=False)), "verifier"


WAYS = {
    "function": by_critic(lambda give: FunctionCritic(lambda problem, solution: said(problem, solution, give))),
    "critic": by_critic(OwnCritic),
    "scoring function": by_reward_model(lambda give: FunctionRewardModel(lambda problem, solution: give(problem))),
    "reward model": by_reward_model(OwnScorer),
    "verifier": by_verifier,
}

WHERE = {"verifier": "verifier", "reward model": "reward_model", "scoring function": "reward_model"}


async def search(way: str, give: Give, strategy: str) -> tuple[dict[str, ProblemResult], MemoryRecorder]:
    critic, scorers, source = WAYS[way](give)
    settings = SearchSettings(strategy=parse_strategy(f"{strategy},score={source}"), scorers=scorers, width=2, seed=5)
    actor, recorder = world()[0], MemoryRecorder()
    journals = [TrajectoryJournal(recorder, run="r", problem=problem.id) for problem in PROBLEMS]
    sessions = [new_session(problem, settings, at) for problem, at in zip(PROBLEMS, journals, strict=True)]
    return {result.problem.id: result async for result in solve_all(sessions, actor, critic, settings)}, recorder


@pytest.mark.parametrize(
    ("strategy", "score"), [("best-of-n:n=3", 5.0), ("mcts:n=3", math.nan), ("beam:n=2,beam_width=2", -0.1)]
)
@pytest.mark.parametrize("way", WAYS)
async def test_the_other_problems_go_on(way: str, strategy: str, score: float) -> None:
    results, recorder = await search(way, lambda problem: score if problem.id == BAD else 0.25, strategy)
    assert sorted(results) == ["p0", "p1", "p2", "p3"]
    assert all(not result.failures and result.attempts for name, result in results.items() if name != BAD)
    bad = results[BAD]
    assert bad.attempt is not None and bad.attempt.reward is None
    assert bad.attempts >= 2 and 0 < len(bad.failures) <= bad.attempts, "every solution stands, none is scored"
    where = {"verifier": "verifier", "reward model": "reward_model", "scoring function": "reward_model"}.get(
        way, "critic"
    )
    for failure in bad.failures:
        assert (failure.where, failure.type) == (where, "InputError")
        assert "a score is a number in [0, 1]" in failure.message
    logged = [event for event in recorder.events if event.kind is Kind.FAILED]
    assert len(logged) == len(bad.failures) and {event.problem for event in logged} == {BAD}


async def test_one_wrong_score_of_n_costs_one_score() -> None:
    scores = iter([0.25, math.inf, 0.75, 0.5])
    results, _ = await search("function", lambda problem: next(scores) if problem.id == BAD else 0.25, "best-of-n:n=4")
    bad = results[BAD]
    assert bad.attempts == 4 and len(bad.failures) == 1
    assert bad.attempt is not None and bad.attempt.critique is not None and bad.attempt.critique.score == 0.75


async def test_an_oracle_s_nonsense_is_no_verdict() -> None:
    verifier = VerifierRewardModel(OwnVerifier(lambda problem: 5))
    settings = SearchSettings(
        strategy=parse_strategy("refine:gate=oracle,rounds=2"), scorers=Scorers(verifier=verifier)
    )
    graph = refinement_graph(*world(), settings)
    result = (await graph.ainvoke({"problem": {"id": "p", "problem": HARD.text, "checker": "countdown"}}))["result"]
    assert result["critique"]["verdict"] == "unscored"
    assert {(failure["where"], failure["type"]) for failure in result["failures"]} == {("verifier", "InputError")}


@pytest.mark.parametrize("logprob", [-math.inf, math.nan])
def test_a_log_probability_that_is_no_number_is_unknown(logprob: float) -> None:
    step = Step(text="a", token_ids=(1, 2), logprobs=(-0.5, logprob))
    outcome = outcome_of(Attempt(solution=Solution(steps=(step,))), 1)
    check_outcome(outcome)
    assert outcome.logprob is None
