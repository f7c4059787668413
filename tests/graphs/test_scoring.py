"""Scores beside the critic's in the driver: asked for where wanted, logged, paid once, refused early."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from actorcritic.budget import Budget
from actorcritic.codec import decode
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError, InputError
from actorcritic.graphs.refinement import refinement_graph
from actorcritic.graphs.resuming import resume_session
from actorcritic.graphs.scoring import Scorers
from actorcritic.graphs.session import ProblemResult, Session
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem, tree_search_graph
from actorcritic.loading import load_verifier
from actorcritic.protocols import RewardModel
from actorcritic.records import ResultRecord
from actorcritic.reward_model import EngineRewardModel, FunctionRewardModel
from actorcritic.search.strategies import parse_strategy
from actorcritic.tasks.countdown import Countdown, parse
from actorcritic.trajectory.events import Event, Kind, read_score
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.types import Outcome, Problem, Reward, Solution
from tests.graphs.world import HARD, world
from tests.scoring import ScoringDouble

LATENCIES = (0.003, 0.0, 0.001, 0.002, 0.0)

REWARDED = [
    "best-of-n:n=5,score=reward-model",
    "best-of-n:n=5,score=reward-model,aggregate=min",
    "weighted-vote:n=5,score=reward-model,aggregate=product",
    "beam:n=2,beam_width=2,score=reward-model,aggregate=last",
    "dvts:n=2,beam_width=2,score=reward-model",
    "particle:n=3,score=reward-model,aggregate=mean",
    "mcts:n=5,score=reward-model",
    "mcts:n=5,nodes=step,score=reward-model",
    "mcts:n=5,nodes=step,leaf=rollout,score=reward-model",
    "ab-mcts:n=5,score=reward-model",
]
"""Every strategy that goes by a score."""


def lengths(steps: Sequence[str]) -> object:
    """Like short steps."""
    scores = [1 / (1 + len(step)) for step in steps]
    return {"score": sum(scores) / len(scores), "steps": scores}


def reward_model(answer: Any = lengths, **kwargs: Any) -> tuple[Scorers, ScoringDouble]:
    double = ScoringDouble(answer, **kwargs)
    return Scorers(reward_model=EngineRewardModel(double)), double


def settings(strategy: str, scorers: Scorers, *, width: int = 1, **limits: Any) -> SearchSettings:
    return SearchSettings(
        strategy=parse_strategy(strategy),
        budget=Budget(**limits),
        width=width,
        seed=4,
        trial_tokens=150 if limits else None,
        scorers=scorers,
    )


async def search(
    how: SearchSettings, *, critic: bool = True, events: list[Event] | None = None, problem: Problem = HARD
) -> tuple[ProblemResult, Session | None, list[Event], int]:
    """Search a problem, or go on after some events; returns the new events and the calls of actor and critic."""
    actor, judge = world(latencies=LATENCIES)
    recorder = MemoryRecorder()
    journal = TrajectoryJournal(
        recorder, run="r", problem=problem.id, next_seq=len(events) if events is not None else 0, now=lambda: "now"
    )
    journal.started()
    session = new_session(problem, how, journal) if events is None else resume_session(problem, how, events, journal)
    if isinstance(session, ProblemResult):
        return session, None, [], 0
    result = await search_problem(session, actor, judge if critic else None, how)
    assert isinstance(actor.engine, ScriptedEngine) and isinstance(judge.engine, ScriptedEngine)
    return result, session, list(recorder.events), len(actor.engine.calls) + len(judge.engine.calls)


def scored(events: list[Event]) -> list[Reward]:
    return [read_score(event.payload) for event in events if event.kind is Kind.SCORED]


@pytest.mark.parametrize("strategy", REWARDED)
async def test_the_reward_model_s_word_reaches_the_policy_and_the_bill(strategy: str) -> None:
    scorers, double = reward_model()
    result, session, events, _ = await search(settings(strategy, scorers))
    assert session is not None and double.calls > 0
    assert result.spend.usage["reward_model"].calls == double.calls == len(scored(events))
    outcomes = [decode(Outcome, event.payload["outcome"]) for event in events if "outcome" in event.payload]
    told = [(outcome.reward, outcome.step_rewards) for outcome in outcomes if outcome.reward is not None]
    assert told == [(reward.score, reward.steps) for reward in scored(events)]
    assert all(len(steps) > 0 for _, steps in told)
    assert sum(event.kind is Kind.CALLED and event.payload["role"] == "reward_model" for event in events) == len(told)


async def test_the_highest_reward_wins_and_no_critic_is_needed() -> None:
    scorers, _ = reward_model()
    result, session, _, _ = await search(settings("best-of-n:n=6,score=reward-model", scorers), critic=False)
    assert session is not None and result.attempt is not None and result.attempt.reward is not None
    rewards = [attempt.reward.score for attempt in session.attempts.values() if attempt.reward is not None]
    assert len(rewards) == 6 and result.attempt.reward.score == max(score or 0.0 for score in rewards)
    assert "critic" not in result.spend.usage


async def test_nobody_asks_a_reward_model_that_does_not_count() -> None:
    scorers, double = reward_model()
    result, _, events, _ = await search(settings("best-of-n:n=4", scorers))
    assert double.calls == 0 and not scored(events) and "reward_model" not in result.spend.usage


@pytest.mark.parametrize("answer", [EngineError("gone"), "no JSON", {"score": None, "steps": [None]}])
async def test_a_reward_model_that_fails_leaves_solutions_unscored(answer: object) -> None:
    scorers, _ = reward_model(lambda steps: answer)
    result, session, events, _ = await search(settings("best-of-n:n=3,score=reward-model", scorers))
    assert session is not None and result.answer is not None and result.stopped_by == "completed"
    outcomes = [decode(Outcome, event.payload["outcome"]) for event in events if "outcome" in event.payload]
    assert [outcome.reward for outcome in outcomes] == [None] * 3
    failures = [failure.where for failure in result.failures]
    assert failures == (["reward_model"] * 3 if isinstance(answer, EngineError) else [])


@pytest.mark.parametrize("tokens", [60, 150, 400])
async def test_the_budget_holds_for_all_roles_together(tokens: int) -> None:
    scorers, _ = reward_model()
    result, _, _, _ = await search(settings("weighted-vote:score=reward-model", scorers, width=3, tokens=tokens))
    total = result.spend.total.logical_tokens
    assert 0 < total <= tokens and result.stopped_by == "tokens"
    assert total == sum(usage.logical_tokens for usage in result.spend.usage.values())


@pytest.mark.parametrize(
    "strategy", [*REWARDED[:1], *REWARDED[6:8], "beam:n=2,beam_width=2,score=reward-model,searches=1"]
)
@pytest.mark.parametrize(("width", "limits"), [(1, {"tokens": 400}), (3, {})])
async def test_cut_anywhere_no_score_is_paid_twice(strategy: str, width: int, limits: dict[str, int]) -> None:
    scorers, double = reward_model(latencies=LATENCIES)
    how = settings(strategy, scorers, width=width, **limits)
    whole, session, events, calls = await search(how)
    assert session is not None
    paid_in_all = double.calls
    exact = not session.policy.cancelled()
    for cut in range(2, len(events) + 1, 3):
        before = double.calls
        result, again, _, more = await search(how, events=events[:cut])
        assert (result.answer, result.best, result.stopped_by) == (whole.answer, whole.best, whole.stopped_by)
        assert again is None or again.policy.dump() == session.policy.dump()
        if exact:
            done = [event for event in events[:cut] if event.kind is Kind.CALLED]
            of_scorer = sum(event.payload["role"] == "reward_model" for event in done)
            assert of_scorer + double.calls - before == paid_in_all, f"cut after {events[cut - 1].kind}"
            assert len(done) - of_scorer + more == calls
            assert result.spend == whole.spend


async def test_the_tree_does_not_depend_on_timing() -> None:
    dumps: list[object] = []
    for latencies in ((), LATENCIES, LATENCIES[::-1]):
        scorers, _ = reward_model(latencies=latencies)
        _, session, _, _ = await search(settings("particle:n=3,score=reward-model", scorers, width=3))
        assert session is not None
        dumps.append(session.policy.dump())
    assert dumps[0] == dumps[1] == dumps[2]


# --- verifiers -----------------------------------------------------------------------------------------------------


def uses_every_number(problem: Problem, solution: Solution) -> bool:
    """A check from the prompt alone: as many steps as numbers make one."""
    puzzle = parse(problem.text)
    assert isinstance(puzzle, Countdown)
    return len(solution.steps) == len(puzzle.numbers) - 1 and bool(re.search(r"= 24$", solution.steps[-1].text))


async def graph_record(strategy: str, scorers: Scorers) -> tuple[ResultRecord, list[Any]]:
    actor, critic = world()
    graph = tree_search_graph(actor, critic, settings(strategy, scorers))
    events = [event async for event in graph.astream({"problem": HARD.text}, stream_mode=["custom", "values"])]
    values: list[Any] = [value for mode, value in events if mode == "values"]
    return ResultRecord.model_validate(values[-1]["result"]), [value for mode, value in events if mode == "custom"]


@pytest.mark.parametrize("oracle", [False, True])
async def test_a_verifier_scores_and_an_oracle_is_marked_everywhere(oracle: bool) -> None:
    verifier: RewardModel = load_verifier("oracle", []) if oracle else FunctionRewardModel(uses_every_number)
    scorers = Scorers(verifier=verifier)
    record, events = await graph_record("best-of-n:n=40,score=verifier,stop_at=1", scorers)
    said = [event for event in events if event["event"] == "scored"]
    assert record.oracle is oracle and said and {event["gold"] for event in said} == {oracle}
    assert record.stopped_by == "accepted" and said[-1]["score"] == 1.0
    assert all(event["score"] == 0.0 for event in said[:-1])
    _, _, logged, _ = await search(settings("best-of-n:n=2,score=verifier", scorers))
    assert [reward.oracle for reward in scored(logged)] == [oracle] * 2


async def test_an_oracle_that_nobody_asks_makes_no_oracle_run() -> None:
    record, events = await graph_record("best-of-n:n=2", Scorers(verifier=load_verifier("oracle", [])))
    assert record.oracle is False and not [event for event in events if event["event"] == "scored"]


async def test_equations_are_checked_without_an_oracle() -> None:
    record, events = await graph_record("best-of-n:n=3,score=verifier", Scorers(verifier=load_verifier("calculate")))
    assert record.oracle is False and record.usage.critic.calls == 0
    assert [event["by"] for event in events if event["event"] == "scored"] == ["calculate"] * 3


@pytest.mark.parametrize("strategy", ["best-of-n", "weighted-vote", "beam", "dvts", "particle", "mcts", "ab-mcts"])
@pytest.mark.parametrize(("source", "says"), [("reward-model", "--reward-model"), ("verifier", "--verifier oracle")])
def test_a_score_that_nobody_gives_is_refused(strategy: str, source: str, says: str) -> None:
    actor, critic = world()
    how = settings(f"{strategy}:score={source}", Scorers())
    for build in (tree_search_graph, refinement_graph):
        with pytest.raises(InputError, match=re.escape(says)) as refused:
            build(actor, critic, how)
        assert "\n" not in str(refused.value)


async def test_the_refinement_graph_scores_too() -> None:
    scorers, double = reward_model()
    actor, critic = world()
    graph = refinement_graph(actor, critic, settings("mcts:n=6,score=reward-model,sure=0", scorers))
    end = await graph.ainvoke({"problem": HARD.text})
    record = ResultRecord.model_validate(end["result"])
    plain, _, _, _ = await search(settings("mcts:n=6,score=reward-model,sure=0", scorers))
    assert record.usage.reward_model.calls == 6 and double.calls == 12
    assert record.usage.critic.calls == 6
    # Of the same search under another id one solution stands there twice, and is judged once.
    assert plain.spend.usage["critic"].calls == 5
