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
