"""Critics: unreadable is unscored and asked again, functions are checked, equations recomputed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorcritic.budget import Budget, Ledger
from actorcritic.critic import CalculationCritic, ExecutionCritic, FunctionCritic, ModelCritic
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.metering import CallMeter, free_meter
from actorcritic.tools.sandboxes import SANDBOXES
from actorcritic.types import Critique, Problem, Solution, Step, StepCritique, Verdict
from tests.graphs.world import HARD, PROBLEM, WordCriticFormat, world
from tests.tools.sandboxes import LIMITS, sandbox_of


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


SHOWN = "Write a function `share`.\nassert share(6, 3) == 2\nassert share(7, 0) == 0\nassert share(8, 2) == 4"
SHARE = Problem(id="share", prompt=SHOWN)
RIGHT = (
    "We divide.",
    "```python\ndef share(a, b):",
    "    if b == 0:\n        return 0",
    "    return a // b\n```",
    "Done.",
)


@pytest.fixture(params=SANDBOXES)
def by_execution(request: pytest.FixtureRequest) -> ExecutionCritic:
    sandbox_of(request.param)
    return ExecutionCritic(sandbox=request.param, limits=LIMITS)


async def test_code_that_passes_the_tests_shown_is_correct(by_execution: ExecutionCritic) -> None:
    critique = await by_execution.critique(SHARE, solution_of(*RIGHT), meter=free_meter())
    assert (critique.verdict, critique.score, critique.first_error) == (Verdict.CORRECT, 1.0, None)
    judged = [step.verdict for step in critique.steps]
    assert judged == [Verdict.UNSCORED, *[Verdict.CORRECT] * 3, Verdict.UNSCORED]
    assert not critique.oracle and not by_execution.oracle


async def test_the_step_that_fails_is_told_which_test_and_why(by_execution: ExecutionCritic) -> None:
    steps = (*RIGHT[:2], "    # no case of its own", *RIGHT[3:])
    critique = await by_execution.critique(SHARE, solution_of(*steps), meter=free_meter())
    assert (critique.verdict, critique.first_error) == (Verdict.INCORRECT, 3)
    assert critique.score == pytest.approx(2 / 3)
    explanation = critique.steps[3].explanation or ""
    assert "failed: assert share(7, 0) == 0" in explanation and "ZeroDivisionError" in explanation


async def test_a_wrong_value_is_the_fault_of_the_whole_program(by_execution: ExecutionCritic) -> None:
    steps = (*RIGHT[:3], "    return a - b\n```", "Done.")
    critique = await by_execution.critique(SHARE, solution_of(*steps), meter=free_meter())
    assert (critique.verdict, critique.first_error) == (Verdict.INCORRECT, 1)
    assert "2 of 3" not in (critique.steps[1].explanation or "") and critique.score == pytest.approx(1 / 3)


async def test_code_that_does_not_end_is_incorrect(by_execution: ExecutionCritic) -> None:
    steps = ("```python\ndef share(a, b):", "    while True:\n        pass\n```")
    critique = await by_execution.critique(SHARE, solution_of(*steps), meter=free_meter())
    assert critique.verdict is Verdict.INCORRECT and critique.score == 0.0


@pytest.mark.parametrize(
    ("problem", "steps"),
    [
        (Problem(id="none", prompt="Write a function."), RIGHT),
        (SHARE, ("The answer is: verdict correct.",)),
        (SHARE, RIGHT[:3]),
        (SHARE, ("```python\ndef share(a, b):\n    yield a\n```",)),
        (SHARE, ("```python\n" + "x = 1\n" * 50_000 + "```",)),
    ],
)
async def test_what_cannot_be_run_is_unscored(problem: Problem, steps: tuple[str, ...]) -> None:
    critique = await ExecutionCritic().critique(problem, solution_of(*steps), meter=free_meter())
    assert critique.verdict is Verdict.UNSCORED and critique.score is None and critique.explanation
    assert all(step.verdict is Verdict.UNSCORED for step in critique.steps)


async def test_a_partial_solution_is_not_run() -> None:
    partial = replace(solution_of(*RIGHT), complete=False)
    assert (await ExecutionCritic().critique(SHARE, partial, meter=free_meter())).verdict is Verdict.UNSCORED


async def test_passing_may_be_too_little() -> None:
    critique = await ExecutionCritic(accept=False).critique(SHARE, solution_of(*RIGHT), meter=free_meter())
    assert critique.verdict is Verdict.UNSCORED and critique.explanation == "3 of 3 tests passed"


async def test_tests_that_the_problem_does_not_show_make_an_oracle() -> None:
    critic = ExecutionCritic(tests=lambda problem: "assert share(9, 3) == 4", oracle=True)
    critique = await critic.critique(SHARE, solution_of(*RIGHT), meter=free_meter())
    assert critic.oracle and critique.oracle and critique.verdict is Verdict.INCORRECT
