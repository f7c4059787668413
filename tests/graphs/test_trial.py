"""The trial graph's oracle gate: gold verdicts in an oracle run alone, the critic's text all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from actorcritic.actor import ModelActor
from actorcritic.critic import FunctionCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import InputError
from actorcritic.graphs.journals import TeeJournal
from actorcritic.graphs.refinement import refinement_graph
from actorcritic.graphs.results import record_of
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.scoring import Scorers
from actorcritic.graphs.session import ProblemResult, Session, SilentJournal
from actorcritic.graphs.settings import SearchSettings, check_roles
from actorcritic.graphs.tree_search import new_session, search_problem, tree_search_graph
from actorcritic.protocols import Verifier
from actorcritic.reward_model import VerifierRewardModel
from actorcritic.search.strategies import parse_strategy
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import Action, Critique, Problem, Reference, Solution, StepCritique, Verdict
from tests.graphs.world import HARD, PROBLEM, world

WRONG, RIGHT, UNSCORED = Verdict.INCORRECT, Verdict.CORRECT, Verdict.UNSCORED


@dataclass
class Knowing:
    """A gold side that gives its verdicts in turn, the last one for ever, and remembers whom it was asked about."""

    verdicts: list[bool | None]
    seen: list[Solution] = field(default_factory=list[Solution])

    async def verify(self, problem: Problem, solution: Solution, reference: Reference) -> bool | None:
        self.seen.append(solution)
        return self.verdicts[min(len(self.seen), len(self.verdicts)) - 1]


def says(verdict: Verdict) -> FunctionCritic:
    """Return a critic that says the same of everything."""

    def judge(problem: Problem, solution: Solution) -> Critique:
        steps = tuple(StepCritique(verdict=verdict, explanation="look again") for _ in solution.steps)
        return Critique(steps=steps, verdict=verdict, score=0.25)

    return FunctionCritic(judge)


def settings(
    gold: Verifier | None, strategy: str = "refine:gate=oracle,rounds=3", *, oracle: bool = True
) -> SearchSettings:
    verifier = None if gold is None else VerifierRewardModel(gold, oracle=oracle)
    return SearchSettings(strategy=parse_strategy(strategy), seed=3, scorers=Scorers(verifier=verifier))


async def search(
    critic: FunctionCritic, gold: Knowing, problem: Problem = HARD, max_tokens: int = 64
) -> tuple[ProblemResult, Session]:
    actor, _ = world(max_tokens=max_tokens)
    how = settings(gold)
    session = new_session(problem, how, SilentJournal())
    return await search_problem(session, actor, critic, how), session


async def test_gold_decides_what_is_refined_and_the_critic_says_how() -> None:
    gold = Knowing([False, True])
    result, session = await search(says(RIGHT), gold)
    assert [node["trial"]["action"] for node in nodes(session)] == ["propose", "refine"]
    assert (result.stopped_by, result.best, len(gold.seen)) == ("accepted", 1, 2)
    critique = session.attempts[0].critique
    assert critique is not None and critique.verdict is WRONG and critique.oracle
    assert {step.explanation for step in critique.steps} == {"look again"} and critique.score == 0.25
    assert record_of(result, settings(gold).facts(says(RIGHT))).oracle


def nodes(session: Session) -> list[Any]:
    tree = session.policy.dump()["tree"]
    assert isinstance(tree, list)
    return tree


async def test_what_gold_calls_right_is_left_alone_whatever_the_critic_says() -> None:
    result, session = await search(says(WRONG), Knowing([True]))
    assert (result.stopped_by, result.attempts) == ("accepted", 1)
    assert session.policy.best == 0


@pytest.mark.parametrize("strategy", ["mcts:gate=oracle,n=4,expand=1,stop_at=0", "ab-mcts:gate=oracle,n=8,stop_at=0"])
async def test_gold_decides_what_a_tree_search_works_on(strategy: str) -> None:
    how = settings(Knowing([False, False, True]), strategy)
    actor, _ = world()
    session = new_session(HARD, how, SilentJournal())
    result = await search_problem(session, actor, says(RIGHT), how)
    assert (result.stopped_by, result.best, result.attempts) == ("accepted", 2, 3)
    assert how.oracle(says(RIGHT)) and all(node["trial"]["options"]["oracle"] for node in nodes(session))


async def test_a_refinement_is_written_with_the_critics_words() -> None:
    """The actor's prompt holds what the critic said, and nothing of the gold side but the fact that it is asked."""
    actor, _ = world()
    told: list[Critique] = []

    class Watched(ModelActor):
        async def refine(self, problem: Problem, solution: Solution, critique: Critique, **rest: Any) -> Solution:
            told.append(critique)
            return await super().refine(problem, solution, critique, **rest)

    watched = Watched(actor.engine, actor.format, max_tokens=64)
    how = settings(Knowing([False]))
    await search_problem(new_session(HARD, how, SilentJournal()), watched, says(RIGHT), how)
    assert len(told) == 2
    assert all(step.verdict is RIGHT and step.explanation == "look again" for step in told[0].steps)


@pytest.mark.parametrize("build", [tree_search_graph, refinement_graph])
async def test_without_gold_the_gate_is_refused_before_any_call(build: Callable[..., Any]) -> None:
    actor, critic = world()
    with pytest.raises(InputError, match="needs an oracle run"):
        build(actor, critic, settings(None))
    assert isinstance(actor.engine, ScriptedEngine) and actor.engine.calls == []


@pytest.mark.parametrize("build", [tree_search_graph, refinement_graph])
async def test_both_graphs_honour_the_gate_and_say_so(build: Callable[..., Any]) -> None:
    actor, _ = world()
    end = await build(actor, says(WRONG), settings(Knowing([True]))).ainvoke(
        {"problem": "Use 3, 5, 8 and 11 to make 24."}
    )
    result = end["result"]
    assert (result["oracle"], result["stopped_by"], result["attempts"]) == (True, "accepted", 1)
    assert result["critique"]["verdict"] == "correct" and result["correct"] is None


@pytest.mark.parametrize("gate", ["critic", "always"])
async def test_other_gates_ask_no_oracle_even_where_there_is_one(gate: str) -> None:
    gold = Knowing([True])
    how = settings(gold, f"refine:gate={gate},rounds=3")
    session = new_session(HARD, how, SilentJournal())
    await search_problem(session, world()[0], says(WRONG), how)
    assert gold.seen == [] and not how.oracle(says(WRONG))
    assert not any(attempt.critique and attempt.critique.oracle for attempt in session.attempts.values())


async def test_a_verifier_that_is_no_oracle_grants_nothing() -> None:
    with pytest.raises(InputError, match="needs an oracle run"):
        tree_search_graph(world()[0], says(WRONG), settings(Knowing([True]), oracle=False))


def test_an_oracle_critic_makes_an_oracle_run_too() -> None:
    critic = FunctionCritic(lambda *_: Critique(steps=(), verdict=RIGHT), oracle=True)
    check_roles(parse_strategy("refine:gate=oracle"), critic)
    assert settings(None).facts(critic).oracle


async def test_the_critics_opinion_never_stands_in_for_gold() -> None:
    class Broken(Knowing):
        async def verify(self, problem: Problem, solution: Solution, reference: Reference) -> bool | None:
            raise KeyError("no such answer")

    for gold in (Knowing([None]), Broken([None])):
        how = settings(gold)
        actor, _ = world()
        session = new_session(PROBLEM, how, SilentJournal())
        result = await search_problem(session, actor, says(RIGHT), how)
        assert result.stopped_by == "completed" and result.attempts == 3, "unscored is neither a pass nor refined"
        assert {node["trial"]["action"] for node in nodes(session)} == {"propose"}
        assert {failure.where for failure in result.failures} == ({"verifier"} if isinstance(gold, Broken) else set())
        assert all(attempt.critique and attempt.critique.verdict is UNSCORED for attempt in session.attempts.values())


async def test_a_critic_that_fails_leaves_the_verdict_to_gold() -> None:
    def broken(problem: Problem, solution: Solution) -> Critique:
        raise RuntimeError("out of order")

    result, session = await search(FunctionCritic(broken), Knowing([False, True]))
    assert [node["trial"]["action"] for node in nodes(session)] == ["propose", "refine"]
    assert (result.stopped_by, [failure.where for failure in result.failures]) == ("accepted", ["critic", "critic"])


async def test_gold_is_not_asked_about_a_truncated_solution() -> None:
    gold = Knowing([True])
    result, _ = await search(says(RIGHT), gold, max_tokens=7)
    assert gold.seen == [] and result.answer is None


async def test_a_resumed_oracle_run_reads_its_verdicts_from_the_log() -> None:
    recorder, gold = MemoryRecorder(), Knowing([False, False, True])
    how = settings(gold)
    journal = TrajectoryJournal(recorder, run="r", problem=HARD.id, now=lambda: "now")
    journal.started()
    session = new_session(HARD, how, TeeJournal((journal,)))
    whole = await search_problem(session, world()[0], says(RIGHT), how)
    again = resume_session(HARD, how, recorder.events, SilentJournal())
    assert isinstance(again, ProblemResult)
    assert (again.best, again.stopped_by) == (whole.best, "accepted")
    assert again.attempt is not None and again.attempt.critique is not None and again.attempt.critique.oracle
    assert len(gold.seen) == 3 and session.attempts[1].solution.steps
    assert [node["trial"]["action"] for node in nodes(session)] == [Action.PROPOSE, Action.REFINE, Action.REFINE]
