"""Graphs from JSON alone, as LangGraph's server asks for them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from actorcritic.errors import InputError
from actorcritic.graphs import factory
from tests.engines.openai.api import Api, serving
from tests.graphs.agent_world import ask, call, calls, says

ROOT = Path(__file__).parents[2]


async def test_the_graph_that_langgraph_json_names_answers() -> None:
    path, _, name = json.loads((ROOT / "langgraph.json").read_text())["graphs"]["refinement"].partition(":")
    spec = importlib.util.spec_from_file_location("served", ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config: RunnableConfig = {"configurable": {"budget_tokens": 400, "seed": 1, "thread_id": "the server's own"}}
    end: Any = await getattr(module, name)(config).ainvoke({"problem": "Use 7, 13 and 14 to make 15."})
    assert end["result"]["usage"]["total_tokens"] <= 400 and end["result"]["seed"] == 1
    assert end["result"]["budget"] == "hard" and end["answer"]


async def test_a_search_takes_its_strategy_from_the_configuration() -> None:
    graph = factory.tree_search({"configurable": {"strategy": "majority:n=2", "critic": "none", "width": 2}})
    end = await graph.ainvoke({"problem": "Use 7, 13 and 14 to make 15."})
    result: Any = end["result"]
    assert result["strategy"] == "majority:n=2" and result["attempts"] == 2 and result["width"] == 2


@pytest.mark.parametrize(
    ("configurable", "said"),
    [
        ({"budget_tokens": "many"}, "configurable.budget_tokens"),
        ({"strategy": "wish"}, "unknown strategy"),
        ({"critic": "none"}, "needs a critic"),
        ({"budget_tokens": 0}, "above 0"),
    ],
)
def test_a_bad_configuration_is_one_line(configurable: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        factory.refinement({"configurable": configurable})


async def test_an_agent_from_json_alone() -> None:
    engine = says(calls(call("calculate", expression="2 + 3")), "5")
    with serving(Api(engine=engine, model="m")) as api:
        config: RunnableConfig = {"configurable": {"actor": f"openai:m@{api.url}", "critic": "calculate", "seed": 3}}
        end: Any = await factory.tool_agent(config).ainvoke(ask("How much is 2 + 3?"))
    assert end["answer"] == "5" and end["result"]["tool_calls"] == 1 and end["result"]["seed"] == 3
    assert end["result"]["rulings"] == {"unscored": 1}


async def test_an_agent_without_an_actor_says_what_is_missing() -> None:
    end: Any = await factory.tool_agent({}).ainvoke(ask("Hello?"))
    assert end["result"]["stopped_by"] == "failed" and "configurable.actor" in end["result"]["failures"][0]["message"]


@pytest.mark.parametrize(
    ("configurable", "said"),
    [
        ({"tools": ["hammer"]}, "no tool 'hammer'; choose from: calculate"),
        ({"max_steps": "many"}, "configurable.max_steps"),
        ({"critic": "nobody"}, "unknown model spec"),
    ],
)
def test_a_bad_configuration_of_an_agent_is_one_line(configurable: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        factory.tool_agent({"configurable": configurable})
