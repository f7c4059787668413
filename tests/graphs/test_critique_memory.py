"""A critic that repeats itself is asked about the same solution once, whatever the timing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcritic.budget import Budget
from actorcritic.critic import FunctionCritic, ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.graphs.critique_memory import CritiqueMemory
from actorcritic.graphs.refinement import refinement_graph
from actorcritic.graphs.session import SilentJournal
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.graphs.trial import Attempt
from actorcritic.records import ResultRecord
from actorcritic.search.policy import LESSONS, ORACLE
from actorcritic.search.strategies import parse_strategy
from actorcritic.types import Action, Critique, Sampling, Solution, Step, StepCritique, Trial, Verdict
from tests.graphs.world import PROBLEM, world

_, GREEDY = world()


def solution(text: str) -> Solution:
    return Solution(steps=(Step(text=text, raw=text),), answer=text)


def attempt(text: str, verdict: Verdict = Verdict.INCORRECT, *, oracle: bool = False) -> Attempt:
    step = StepCritique(verdict=verdict)
    return Attempt(solution=solution(text), critique=Critique(steps=(step,), verdict=verdict, oracle=oracle))


def trial(number: int, **options: bool | list[int]) -> Trial:
    return Trial(id=number, action=Action.PROPOSE, options=options)  # type: ignore[arg-type]


@given(
    texts=st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    width=st.integers(1, 4),
    order=st.randoms(use_true_random=False),
)
def test_what_is_recalled_depends_on_ids_alone(texts: list[str], width: int, order: object) -> None:
    attempts = {number: attempt(text) for number, text in enumerate(texts)}
    memory = CritiqueMemory(GREEDY, attempts, width)
    asked = list(range(len(texts)))
    order.shuffle(asked)  # type: ignore[attr-defined]
    for number in asked:
        known = memory.recall(trial(number), solution(texts[number]))
        assert (known is not None) == (texts[number] in texts[: max(0, number - width + 1)])


def test_only_what_can_be_said_again() -> None:
    others = {0: attempt("a", Verdict.UNSCORED), 1: attempt("b", oracle=True), 2: Attempt(solution=solution("c"))}
    memory = CritiqueMemory(GREEDY, {**others, 3: attempt("d")})
    assert [memory.recall(trial(4), solution(text)) for text in "abc"] == [None] * 3
    assert memory.recall(trial(4), solution("d")) is not None
    assert memory.recall(trial(4), replace(solution("d"), complete=False)) is None
    assert memory.recall(trial(4, **{ORACLE: True}), solution("d")) is None
    assert memory.recall(trial(4, **{LESSONS: [1]}), solution("d")) is None


def test_only_of_critics_that_repeat_themselves() -> None:
    engine = ScriptedEngine(lambda request: "ok")
    assert isinstance(GREEDY, ModelCritic)
    drawn = ModelCritic(engine, GREEDY.format, sampling=Sampling(temperature=0.7))
    foreign = FunctionCritic(lambda problem, solution: Critique(steps=(), verdict=Verdict.CORRECT))
    for critic in (drawn, foreign, None):
        assert CritiqueMemory(critic, {0: attempt("a")}).recall(trial(1), solution("a")) is None


@pytest.mark.parametrize("graph", [True, False])
async def test_a_search_asks_once_per_solution(graph: bool) -> None:
    actor, critic = world()
    how = SearchSettings(strategy=parse_strategy("best-of-n:n=24"), budget=Budget(calls=100), seed=1)
    if graph:
        end = await refinement_graph(actor, critic, how).ainvoke({"problem": PROBLEM.text})
        usage = ResultRecord.model_validate(end["result"]).usage
        calls = (usage.actor.calls, usage.critic.calls)
    else:
        session = new_session(PROBLEM, how, SilentJournal())
        result = await search_problem(session, actor, critic, how)
        calls = (result.spend.usage["actor"].calls, result.spend.usage["critic"].calls)
        written = {attempt.solution.raw for attempt in session.attempts.values()}
        assert calls[1] == len(written)
        assert all(attempt.critique is not None for attempt in session.attempts.values())
    assert calls[0] == 24 and calls[1] < 24
