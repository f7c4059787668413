"""Search over environments: one tree for any timing and either way back, budgets that hold, failures as data."""

from __future__ import annotations

import asyncio
import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actorcritic.actor import ModelActor
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.shop_players import shop_critic
from actorcritic.environments.web_shop import INFO, open_replayed_shop, open_shop, shop_problem
from actorcritic.errors import InputError
from actorcritic.formats.environment import EnvironmentActorFormat
from actorcritic.graphs.environment_search import (
    AGENT_Q,
    LATS,
    ROLLOUTS,
    environment_search_graph,
    environment_settings,
)
from actorcritic.graphs.session import Session
from actorcritic.records import ResultRecord, problem_record
from actorcritic.search.tree import Tree
from actorcritic.tasks.environment import episode_return
from actorcritic.types import Action
from tests.environments.world import (
    SHOP,
    SIDE_EFFECTS,
    BrokenShop,
    CountedShop,
    DriftingShop,
    SideEffectShop,
    SideEffectSnapshotShop,
    opener,
    player,
    replayed,
    search,
    settings,
    taken,
    tree_of,
)

GOLDEN = Path(__file__).parent / "golden" / "environment_tree.json"
STRATEGIES = (
    "greedy",
    "best-of-n:score=verifier",
    "majority",
    "revise",
    "refine",
    "beam:score=critic,n=4,beam_width=2,iterations=6",
    "mcts:nodes=step,leaf=critic,expand=3",
    ROLLOUTS,
    f"{AGENT_Q},expand=2",
    f"{LATS},expand=2",
)


def nodes_of(session: Session) -> Tree:
    tree = getattr(session.policy, "tree", None)
    assert isinstance(tree, Tree)
    return tree


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_timing_changes_nothing(strategy: str) -> None:
    problem = await shop_problem(SHOP)
    how = settings(strategy, width=3, steps=30)
    _, still = await search(how, problem)
    draw = random.Random(strategy)
    latencies = tuple(draw.expovariate(500) for _ in range(13))
    _, shaken = await search(how, problem, latencies=latencies)
    assert tree_of(shaken) == tree_of(still)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_snapshot_and_replay_give_one_tree(strategy: str) -> None:
    problem = await shop_problem(SHOP)
    how = settings(strategy, width=2, steps=30)
    _, restored = await search(how, problem)
    _, repeated = await search(how, problem, player(open_replayed_shop))
    assert tree_of(restored) == tree_of(repeated)
    assert replayed(restored.ledger.spend) == 0
    if strategy.startswith("mcts"):
        assert replayed(repeated.ledger.spend) > 0


@pytest.mark.parametrize("strategy", ["best-of-n:score=verifier", "mcts:nodes=step,leaf=critic", LATS])
@pytest.mark.parametrize(("width", "steps"), [(1, 1), (3, 1), (3, 7), (1, 20), (3, 31)])
async def test_a_budget_of_steps_is_never_exceeded(strategy: str, width: int, steps: int) -> None:
    result, _ = await search(settings(strategy, width=width, steps=steps), await shop_problem(SHOP))
    assert 1 <= taken(result.spend) <= steps
    assert result.stopped_by in ("steps", "accepted") and result.failures == ()


@pytest.mark.parametrize("strategy", ["best-of-n:score=verifier", AGENT_Q])
@pytest.mark.parametrize("tokens", [150, 700, 710, 720, 2500])
async def test_a_budget_of_tokens_holds_in_an_environment_too(strategy: str, tokens: int) -> None:
    how = settings(strategy, width=2, steps=None, tokens=tokens)
    result, _ = await search(how, await shop_problem(SHOP))
    assert result.spend.total.logical_tokens <= tokens and result.stopped_by in ("tokens", "accepted")
    assert result.failures == (), "an action that the budget cuts off is nobody's failure"


async def test_a_model_that_writes_no_action_is_a_failure() -> None:
    mute = EnvironmentActor(ModelActor(ScriptedEngine(lambda request: ""), EnvironmentActorFormat()), open_shop, INFO)
    result, _ = await search(settings("best-of-n:score=verifier,n=2"), await shop_problem(SHOP), mute)
    assert result.stopped_by == "failed" and taken(result.spend) == 0
    assert {failure.type for failure in result.failures} == {"EngineError"}


async def test_an_episode_that_the_budget_cuts_off_is_not_finished() -> None:
    result, session = await search(settings("greedy", steps=3), await shop_problem(SHOP))
    assert result.answer is None and result.attempts == 1 and taken(result.spend) == 3
    assert [step.observation is not None for step in session.attempts[0].solution.steps] == [True] * 3


async def test_the_best_episode_is_the_answer_and_says_what_was_done() -> None:
    result, session = await search(settings("best-of-n:score=verifier,n=6", steps=None), await shop_problem(SHOP))
    returns = {trial: episode_return(attempt.solution) or 0.0 for trial, attempt in session.attempts.items()}
    assert result.best is not None and returns[result.best] == max(returns.values())
    assert result.answer is not None and result.answer.splitlines()[-1] == "buy"
    assert result.stopped_by == "completed"


async def test_visits_add_up() -> None:
    _, session = await search(settings(f"{AGENT_Q},expand=2", width=3, steps=70), await shop_problem(SHOP))
    tree = nodes_of(session)
    for node in tree:
        own = node.outcome is not None and node.outcome.complete and node.trial.action is not Action.JUDGE
        assert node.visits == own + sum(tree[child].visits for child in node.children)
    state: Any = session.policy.dump()["state"]
    assert sum(tree[root].visits for root in tree.roots) == state["root"][0]


async def test_a_replay_with_side_effects_is_refused_and_recorded() -> None:
    problem = await shop_problem(SHOP)
    refusing = player(opener(SideEffectShop), SIDE_EFFECTS)
    result, session = await search(settings("mcts:nodes=step,leaf=critic,n=12"), problem, refusing)
    assert {failure.where for failure in result.failures} == {"environment"}
    assert {failure.type for failure in result.failures} == {"ReplayDiffers"}
    assert "allow replay" in result.failures[0].message
    assert {node.trial.action for node in nodes_of(session) if node.failure is None} == {Action.PROPOSE}


async def test_whole_episodes_need_no_replay() -> None:
    problem = await shop_problem(SHOP)
    result, _ = await search(
        settings("best-of-n:score=verifier,n=3"), problem, player(opener(SideEffectShop), SIDE_EFFECTS)
    )
    assert result.failures == () and result.attempts == 3


@pytest.mark.parametrize("kind", [SideEffectShop, SideEffectSnapshotShop])
async def test_allowed_or_with_snapshots_side_effects_are_no_obstacle(kind: Any) -> None:
    problem = await shop_problem(SHOP)
    allowing = player(opener(kind), SIDE_EFFECTS, allow_replay=kind is SideEffectShop)
    result, session = await search(settings(AGENT_Q, steps=40), problem, allowing)
    _, plain = await search(settings(AGENT_Q, steps=40), problem)
    assert result.failures == () and tree_of(session) == tree_of(plain)
    assert (replayed(result.spend) > 0) == (kind is SideEffectShop)


async def test_a_replay_that_differs_is_a_recorded_failure() -> None:
    problem = await shop_problem(SHOP)
    result, session = await search(
        settings("beam:score=critic,n=4,beam_width=2,iterations=3"), problem, player(opener(DriftingShop))
    )
    assert result.failures and {failure.type for failure in result.failures} == {"ReplayDiffers"}
    assert "another state than before" in result.failures[0].message
    assert {0, 1, 2, 3} <= session.attempts.keys(), "what was done before stands"


async def test_a_world_that_does_not_begin_as_the_problem_says_is_refused() -> None:
    problem = await shop_problem(SHOP)
    other = replace(problem, meta={**problem.meta, "state": "somewhere else"})
    result, _ = await search(settings("greedy"), other)
    assert result.stopped_by == "failed" and "does not begin" in result.failures[0].message


async def test_failing_steps_leave_the_rest_in_play() -> None:
    problem = await shop_problem(SHOP)
    result, session = await search(
        settings("best-of-n:score=verifier,n=12", width=3, steps=None), problem, player(opener(BrokenShop))
    )
    assert 0 < len(result.failures) < 12 and len(session.attempts) == 12 - len(result.failures)
    assert {failure.message for failure in result.failures} == {"ConnectionError: the size server is down"}
    assert result.answer is not None


async def test_another_environment_than_declared_is_refused() -> None:
    wrong = player(open_shop, replace(INFO, name="another"))
    result, _ = await search(settings("greedy"), await shop_problem(SHOP), wrong)
    assert result.stopped_by == "failed" and "was declared" in result.failures[0].message


@pytest.mark.parametrize("width", [1, 4])
async def test_environments_are_few_and_are_closed(width: int) -> None:
    books: list[str] = []
    who = player(opener(lambda seed: CountedShop(seed, books)))
    await search(settings(AGENT_Q, width=width, steps=60), await shop_problem(SHOP), who)
    assert 1 <= books.count("opened") <= width
    assert books.count("closed") == books.count("opened")


async def test_cancelling_closes_them_too() -> None:
    books: list[str] = []
    who = player(opener(lambda seed: CountedShop(seed, books)), latencies=(0.0, 0.0, 0.0, 30.0))
    task = asyncio.create_task(search(settings(AGENT_Q, width=3), await shop_problem(SHOP), who))
    engine = getattr(who.actor, "engine", None)
    assert isinstance(engine, ScriptedEngine)
    while not any(call.index % 4 == 3 for call in engine.calls):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert books.count("closed") == books.count("opened") >= 1


async def test_reflections_reach_later_trials_and_no_earlier_ones() -> None:
    who = player()
    _, session = await search(settings(f"{LATS},expand=2", steps=80), await shop_problem(SHOP), who)
    judged = [node.id for node in nodes_of(session) if node.trial.action is Action.JUDGE]
    assert 1 <= len(judged) <= 3
    engine = getattr(who.actor, "engine", None)
    assert isinstance(engine, ScriptedEngine)
    prompts = [str(call.request.prompt.content) for call in engine.calls]
    told = ["What was wrong with it" in prompt for prompt in prompts]
    assert any(told) and not told[0]
    shown: list[Any] = [node.trial.options.get("lessons", []) for node in nodes_of(session)]
    assert all(lesson < node for node, lessons in enumerate(shown) for lesson in lessons)


async def test_the_tree_is_the_golden_one() -> None:
    _, session = await search(settings(f"{AGENT_Q},expand=2", width=2, steps=48), await shop_problem(SHOP))
    tree = [
        {
            "trial": node.id,
            "parent": node.parent,
            "did": [
                step.text
                for step in session.attempts[node.id].solution.steps[session.attempts[node.id].solution.kept :]
            ],
            "visits": node.visits,
            "value": round(node.value, 9),
            "critic": None if node.outcome is None else node.outcome.score,
            "earned": None if node.outcome is None else node.outcome.reward,
        }
        for node in nodes_of(session)
    ]
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
    assert tree == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("strategy", "oracle"), [(AGENT_Q, True), ("best-of-n:score=critic", False)])
async def test_the_graph_goes_from_a_problem_to_a_result(strategy: str, oracle: bool) -> None:
    graph = environment_search_graph(player(), shop_critic(), settings(strategy, steps=30))
    given = problem_record(await shop_problem(SHOP)).model_dump()
    events: list[Any] = [event async for event in graph.astream({"problem": given}, stream_mode=["custom", "values"])]
    record = ResultRecord.model_validate(events[-1][1]["result"])
    assert record.stopped_by == "steps" and record.oracle is oracle
    kinds = {event["event"] for mode, event in events if mode == "custom"}
    assert {"asked", "called", "stepped", "critiqued", "committed", "finished"} <= kinds


async def test_without_settings_it_is_agent_q_or_without_a_critic_its_rollouts() -> None:
    given = problem_record(await shop_problem(SHOP)).model_dump()
    graph = environment_search_graph(player(), shop_critic(), environment_settings(f"{AGENT_Q},n=4", INFO))
    assert (await graph.ainvoke({"problem": given}))["result"]["strategy"].startswith("mcts:nodes=step")
    with pytest.raises(InputError, match="needs a critic"):
        environment_search_graph(player(), None, environment_settings(AGENT_Q, INFO))
    assert environment_search_graph(player(), None) is not None


@pytest.mark.parametrize("limit", [0, -3])
def test_episodes_without_a_step_are_refused(limit: int) -> None:
    with pytest.raises(InputError, match="max_steps"):
        EnvironmentActor(player().actor, open_shop, INFO, max_steps=limit)
