"""Put the critique loop into a bigger LangGraph app, with a state, a context and a checkpointer of the app's own.

Run it with:  python examples/graph_in_app.py

Prints:
    proposed ...
    critiqued ...
    ...
    Ada, here is your answer: ...
"""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from actorcritic import Budget, load_roles, parse_strategy
from actorcritic.graphs import SearchSettings, refinement_graph


class State(TypedDict, total=False):
    """The app's state; it shares `problem` and `answer` with the critique loop."""

    question: str
    problem: str
    answer: str | None
    reply: str


class Context(TypedDict):
    """The app's own context, which the loop neither needs nor touches."""

    user: str


def understand(state: State) -> State:
    """Turn what the user typed into a problem."""
    return {"problem": state["question"].strip().capitalize()}


def reply(state: State, runtime: Runtime[Context]) -> State:
    """Word the answer."""
    return {"reply": f"{runtime.context['user']}, here is your answer: {state['answer']}"}


async def main() -> None:
    """Run the app and follow the loop inside it."""
    roles = load_roles("embedded")
    settings = SearchSettings(strategy=parse_strategy("revise"), budget=Budget(tokens=600), seed=1)
    app = StateGraph(State, context_schema=Context)
    app.add_node("understand", understand)
    app.add_node("solve", refinement_graph(roles.actor, roles.critic, settings))
    app.add_node("reply", reply)
    app.add_edge(START, "understand")
    app.add_edge("understand", "solve")
    app.add_edge("solve", "reply")
    app.add_edge("reply", END)
    graph = app.compile(checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    question: State = {"question": "  use 3, 8 and 11 to make 35."}
    # The events of a subgraph are seen only with subgraphs=True.
    stream = graph.astream(
        question, thread, context=Context(user="Ada"), stream_mode="custom", subgraphs=True, version="v2"
    )
    async for part in stream:
        event: Any = part["data"]
        if event["event"] in ("proposed", "revised"):
            print(event["event"], " | ".join(event["steps"]))
        elif event["event"] == "critiqued":
            print("critiqued", " | ".join(step["verdict"] for step in event["steps"]))
    print((await graph.aget_state(thread)).values["reply"])
    await roles.aclose()


if __name__ == "__main__":
    asyncio.run(main())
