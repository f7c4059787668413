"""Reward models as roles: what they ask, what they bill, and what is unscored rather than zero."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.budget import Budget, Ledger
from actorcritic.critic import CalculationCritic
from actorcritic.errors import BudgetExhausted, InputError
from actorcritic.loading import load_verifier
from actorcritic.metering import CallMeter, free_meter
from actorcritic.reward_model import (
    CriticRewardModel,
    EngineRewardModel,
    FunctionRewardModel,
    VerifierRewardModel,
    scoring_prompt,
)
from actorcritic.types import Message, Problem, Reference, Reward, Solution, Step
from tests.scoring import ScoringDouble, texts

PROBLEM = Problem(id="p", prompt="1+1?", checker="exact")


def solution(*texts: str, complete: bool = True, thinking: int = 0) -> Solution:
    steps = tuple(Step(text=text, thinking=index < thinking) for index, text in enumerate(texts))
    return Solution(steps=steps, answer=texts[-1] if texts else None, complete=complete)


def engine(answer: object) -> ScoringDouble:
    return ScoringDouble(lambda steps: answer)


async def test_a_model_is_shown_the_question_and_every_step() -> None:
    scorer = EngineRewardModel(engine({"score": 0.5, "steps": [0.5, 1]}))
    meter = free_meter(3)
    reward = await scorer.score(PROBLEM, solution("one", "two"), meter=meter)
    assert reward == Reward(score=0.5, steps=(0.5, 1.0), by="prm") and scorer.oracle is False
    (call,) = meter.calls
    assert call.role == "reward_model" and call.request.prompt == scoring_prompt(PROBLEM, solution("one", "two"))
    assert texts(call.request.prompt) == ["1+1?", "one", "two"]


async def test_thinking_is_neither_shown_nor_scored() -> None:
    scorer = EngineRewardModel(engine({"score": 0.9, "steps": [0.9]}))
    meter = free_meter()
    reward = await scorer.score(PROBLEM, solution("hm", "two", thinking=1), meter=meter)
    assert reward.steps == (None, 0.9) and "hm" not in str(meter.calls[0].request.prompt)
    for nothing in (solution(), solution("hm", thinking=1)):
        meter = free_meter()
        assert (await scorer.score(PROBLEM, nothing, meter=meter)).score is None and not meter.calls


def test_a_conversation_is_one_question() -> None:
    messages = (Message(role="system", content="be brief"), Message(role="user", content="1+1?"))
    prompt = scoring_prompt(Problem(id="p", prompt=messages), solution("2"))
    assert texts(prompt) == ["system: be brief\n\nuser: 1+1?", "2"]
    single = scoring_prompt(Problem(id="p", prompt=messages[1:]), solution("2"))
    assert single == scoring_prompt(PROBLEM, solution("2"))


BAD = (None, -0.1, 1.1, "0.5", True, float("nan"))


@pytest.mark.parametrize(
    "answer",
    ["", "no JSON", "[]", "{}", '{"score": 1}', {"score": 1, "steps": [1]}, {"score": 1, "steps": [1, 1, 1]}],
)
async def test_what_does_not_fit_the_solution_is_unscored(answer: object) -> None:
    reward = await EngineRewardModel(engine(answer)).score(PROBLEM, solution("a", "b"), meter=free_meter())
    assert reward == Reward(score=None, by="prm")


@given(steps=st.lists(st.one_of(st.floats(0, 1), st.sampled_from(BAD)), min_size=2, max_size=2))
def test_only_numbers_from_zero_to_one_are_scores(steps: list[Any]) -> None:
    import asyncio  # noqa: PLC0415 - hypothesis drives no coroutines

    scorer = EngineRewardModel(engine({"score": steps[0], "steps": steps}))
    reward = asyncio.run(scorer.score(PROBLEM, solution("a", "b"), meter=free_meter()))
    good = [None if any(item is bad for bad in BAD) else float(item) for item in steps]
    assert reward.steps == tuple(good) and reward.score == good[0]


async def test_an_outcome_model_scores_the_whole() -> None:
    reward = await EngineRewardModel(engine({"score": 0.25, "steps": []})).score(
        PROBLEM, solution("a", "b"), meter=free_meter()
    )
    assert reward == Reward(score=0.25, by="prm")


async def test_a_score_is_paid_from_the_same_ledger() -> None:
    scorer = EngineRewardModel(engine({"score": 1, "steps": [1]}))
    ledger = Ledger(Budget(tokens=100))
    lease = ledger.lease(0)
    assert lease is not None
    await scorer.score(PROBLEM, solution("a"), meter=CallMeter(lease, seed=0))
    spend = ledger.commit(0)
    assert spend.usage["reward_model"].calls == 1 and spend.usage["reward_model"].logical_tokens > 0
    poor = Ledger(Budget(tokens=2)).lease(0)
    assert poor is not None
    with pytest.raises(BudgetExhausted):
        await scorer.score(PROBLEM, solution("a"), meter=CallMeter(poor, seed=0))


@pytest.mark.parametrize(
    ("given_", "score"), [(0.25, 0.25), (True, 1.0), (False, 0.0), (None, None), (Reward(score=0.5, steps=(1.0,)), 0.5)]
)
async def test_a_function_s_word_is_taken(given_: Any, score: float | None) -> None:
    async def later(problem: Problem, solution: Solution) -> Any:
        return given_

    for function in (lambda problem, solution: given_, later):
        reward = await FunctionRewardModel(function, name="mine").score(PROBLEM, solution("a"), meter=free_meter())
        assert (reward.score, reward.by, reward.oracle) == (score, "mine", False)


@pytest.mark.parametrize("given_", [1.5, -1, float("nan"), Reward(score=0.5, steps=(1.0, 1.0)), Reward(score=2)])
async def test_a_function_s_nonsense_is_refused(given_: Any) -> None:
    scorer = FunctionRewardModel(lambda problem, solution: given_, oracle=True)
    assert scorer.oracle
    with pytest.raises(InputError):
        await scorer.score(PROBLEM, solution("a"), meter=free_meter())


class Sees:
    """A verifier that notes what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Reference] = []

    async def verify(self, problem: Problem, solution: Solution, reference: Reference) -> bool | None:
        self.shown.append(reference)
        return None if solution.answer == "?" else solution.answer == (reference.answer or "2")


async def test_a_verifier_scores_whole_solutions() -> None:
    verifier = Sees()
    oracle = VerifierRewardModel(verifier, {"p": Reference(answer="3")})
    rewards = [await oracle.score(PROBLEM, solution(text), meter=free_meter()) for text in ("3", "2", "?")]
    assert [reward.score for reward in rewards] == [1.0, 0.0, None] and all(reward.oracle for reward in rewards)
    assert (await oracle.score(PROBLEM, solution("3", complete=False), meter=free_meter())).score is None
    assert verifier.shown == [Reference(answer="3")] * 3


async def test_gold_reaches_no_verifier_that_is_no_oracle() -> None:
    verifier = Sees()
    plain = VerifierRewardModel(verifier, oracle=False)
    assert (await plain.score(PROBLEM, solution("2"), meter=free_meter())) == Reward(score=1.0, by="verifier")
    assert verifier.shown == [Reference()]
    with pytest.raises(InputError, match="is an oracle"):
        VerifierRewardModel(verifier, {"p": Reference(answer="3")}, oracle=False)


async def test_a_critic_s_numbers_without_its_words() -> None:
    scorer = CriticRewardModel(CalculationCritic(accept=True))
    right = await scorer.score(PROBLEM, solution("1 + 1 = 2"), meter=free_meter())
    wrong = await scorer.score(PROBLEM, solution("1 + 1 = 2", "2 + 1 = 4"), meter=free_meter())
    assert (right.score, right.steps, wrong.score, wrong.steps) == (1.0, (1.0,), 0.0, (1.0, 0.0))
    assert not scorer.oracle and right.by == "critic"


async def test_verifiers_by_name() -> None:
    assert load_verifier("calculate").oracle is False
    oracle = load_verifier("oracle", [(PROBLEM, Reference(answer="2"))])
    assert oracle.oracle and (await oracle.score(PROBLEM, solution("2"), meter=free_meter())).score == 1.0
    with pytest.raises(InputError, match="'p' has no answer to compare with"):
        load_verifier("oracle", [(PROBLEM, Reference())])
    with pytest.raises(InputError, match="choose from: oracle, calculate"):
        load_verifier("gold")
