"""Critics: unreadable is unscored and asked again, functions are checked, equations recomputed."""

from __future__ import annotations

import pytest

from actorcritic.budget import Budget, Ledger
from actorcritic.critic import CalculationCritic, FunctionCritic, ModelCritic
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.metering import CallMeter, free_meter
from actorcritic.types import Critique, Problem, Solution, Step, StepCritique, Verdict
from tests.graphs.world import HARD, PROBLEM, WordCriticFormat, world


def solution_of(*steps: str) -> Solution:
    return Solution(steps=tuple(Step(text=step, raw=f"{step}\n") for step in steps), answer=steps[-1])


GOOD = solution_of("14 / 7 = 2", "13 + 2 = 15")


async def test_judges_every_step() -> None:
    _, critic = world()
    critique = await critic.critique(PROBLEM, GOOD, meter=free_meter())
    assert [step.verdict for step in critique.steps] == [Verdict.CORRECT] * 2
    assert critique.verdict is Verdict.CORRECT and critique.first_error is None and not critic.oracle
    wrong = await critic.critique(PROBLEM, solution_of("14 - 7 = 7", "13 - 7 = 6"), meter=free_meter())
    assert wrong.verdict is Verdict.INCORRECT and wrong.first_error == 0
    assert wrong.steps[0].explanation and wrong.steps[0].explanation.startswith("unreachable")


async def test_asks_once_more_for_what_it_cannot_read() -> None:
    engine = ScriptedEngine(["what?", "ok\nok\n"])
    critique = await ModelCritic(engine, WordCriticFormat()).critique(PROBLEM, GOOD, meter=free_meter())
    assert critique.verdict is Verdict.CORRECT
    assert [call.request.sampling.temperature for call in engine.calls] == [0.0, 1.0]


async def test_what_stays_unreadable_is_unscored() -> None:
    engine = ScriptedEngine(["The step is not correct", "I am not sure"])
    critique = await ModelCritic(engine, WordCriticFormat()).critique(PROBLEM, GOOD, meter=free_meter())
    assert critique.verdict is Verdict.UNSCORED and critique.score is None
    assert len(critique.steps) == 2 and len(engine.calls) == 2


async def test_without_budget_for_a_second_try_the_first_stands() -> None:
    lease = Ledger(Budget(calls=1)).lease(0)
    assert lease is not None
    engine = ScriptedEngine(["what?"])
    critique = await ModelCritic(engine, WordCriticFormat()).critique(PROBLEM, GOOD, meter=CallMeter(lease, seed=0))
    assert critique.verdict is Verdict.UNSCORED


async def test_scores_come_from_token_probabilities() -> None:
    class LineCritic(WordCriticFormat):
        pass

    engine = ScriptedEngine([Reply(text="ok\nok\n", logprobs=(-0.1, -0.2))])
    critique = await ModelCritic(engine, LineCritic()).critique(PROBLEM, GOOD, meter=free_meter())
    assert all(step.score is None or 0 <= step.score <= 1 for step in critique.steps)
    assert engine.calls[0].request.top_logprobs > 0


def test_refuses_negative_retries() -> None:
    with pytest.raises(InputError, match="retries"):
        ModelCritic(ScriptedEngine([]), WordCriticFormat(), retries=-1)


async def test_a_function_is_a_critic_plain_or_asynchronous() -> None:
    def judge(problem: Problem, solution: Solution) -> Critique:
        steps = tuple(StepCritique(verdict=Verdict.CORRECT) for _ in solution.steps)
        return Critique(steps=steps, verdict=Verdict.CORRECT, score=0.9)

    async def slow(problem: Problem, solution: Solution) -> Critique:
        return judge(problem, solution)

    for function in (judge, slow):
        critique = await FunctionCritic(function).critique(PROBLEM, GOOD, meter=free_meter())
        assert critique.score == 0.9
    assert not FunctionCritic(judge).oracle and FunctionCritic(judge, oracle=True).oracle


async def test_a_function_that_skips_steps_is_refused() -> None:
    def lazy(problem: Problem, solution: Solution) -> Critique:
        return Critique(steps=(), verdict=Verdict.CORRECT)

    with pytest.raises(InputError, match="judged 0 steps of 2"):
        await FunctionCritic(lazy).critique(PROBLEM, GOOD, meter=free_meter())


@pytest.mark.parametrize(
    ("step", "verdict"),
    [
        ("14 / 7 = 2", Verdict.CORRECT),
        ("14 / 7 = 3", Verdict.INCORRECT),
        ("So 3 * (4 + 1) = 15 and 15 - 1 = 14.", Verdict.CORRECT),
        ("So 3 * (4 + 1) = 15 and 15 - 1 = 13.", Verdict.INCORRECT),
        ("1 / 3 = 1/3", Verdict.CORRECT),
        ("1 / 2 = 0.5", Verdict.CORRECT),
        ("1 / 2 = 0.25", Verdict.INCORRECT),
        ("Let x be the answer.", Verdict.UNSCORED),
        ("verdict: correct", Verdict.UNSCORED),
        ("9**9**9**9 = 1", Verdict.UNSCORED),
        ("1 / 0 = 5", Verdict.UNSCORED),
    ],
)
async def test_recomputes_equations(step: str, verdict: Verdict) -> None:
    critique = await CalculationCritic().critique(HARD, solution_of(step), meter=free_meter())
    assert critique.steps[0].verdict is verdict
    if verdict is Verdict.INCORRECT:
        assert critique.verdict is Verdict.INCORRECT and critique.steps[0].explanation
    else:
        assert critique.verdict is Verdict.UNSCORED  # right arithmetic is no right answer


async def test_right_arithmetic_passes_only_where_that_is_asked_for() -> None:
    strict, lenient = CalculationCritic(), CalculationCritic(accept=True)
    assert (await strict.critique(PROBLEM, GOOD, meter=free_meter())).verdict is Verdict.UNSCORED
    assert (await lenient.critique(PROBLEM, GOOD, meter=free_meter())).verdict is Verdict.CORRECT
    halfway = solution_of("14 / 7 = 2", "and so on")
    assert (await lenient.critique(PROBLEM, halfway, meter=free_meter())).verdict is Verdict.UNSCORED
