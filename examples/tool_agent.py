"""An agent with tools of your own, a critic that checks every step, and a human who has the last word on some of them.

The actor here is a script, so that the example runs offline; in your app it is your LangChain chat model.

Run it with:  python examples/tool_agent.py

Prints:
    checks_amounts says block: work the amount out with the calculator first
    blocked   send_invoice({"amount": "168.5"})
    done      calculate({"expression": "3 * 49.5 + 120"}) -> 268.5
    somebody asks you: send_invoice({"amount": "268.5"})?
    human says pass
    done      send_invoice({"amount": "268.5"}) -> sent
    The invoice over 268.5 is on its way.
    accepted after 4 steps and 2 tool calls; judged: {'block': 1, 'pass': 6}
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from actorcritic import AgentStep, Budget, Judgement
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.graphs import HumanStepCritic, ToolAgentSettings, tool_agent_graph
from actorcritic.tools import calculate_tool
from actorcritic.types import ToolCall


def send_invoice(amount: str) -> str:
    """Send the customer an invoice over this amount."""
    return "sent"


def checks_amounts(step: AgentStep) -> Judgement:
    """Let no invoice out whose amount the calculator has not given."""
    known = {result.text for act in step.before for result in act.results if result.call.name == "calculate"}
    for place, call in enumerate(step.calls):
        if call.name == "send_invoice" and step.arguments(place).get("amount") not in known:
            return Judgement.block("work the amount out with the calculator first", calls=(place,))
    return Judgement.passed()


def actor() -> ScriptedEngine:
    """Return the script of a model that does sums in its head until it is told not to."""
    wishes = [
        ("send_invoice", {"amount": "168.5"}),
        ("calculate", {"expression": "3 * 49.5 + 120"}),
        ("send_invoice", {"amount": "268.5"}),
    ]
    calls = [ToolCall(id=f"c{i}", name=name, arguments=json.dumps(given)) for i, (name, given) in enumerate(wishes)]
    return ScriptedEngine([*(Reply(tool_calls=(call,)) for call in calls), "The invoice over 268.5 is on its way."])


def show(event: dict[str, Any]) -> None:
    """Print what an event of the stream says."""
    if event["event"] == "tool_called":
        returned = f" -> {event['result']}" if event["status"] == "done" else ""
        print(f"{event['status']:9} {event['name']}({event['arguments']}){returned}")
    elif event["event"] == "step_judged" and event["ruling"] != "pass":
        print(f"{event['by']} says {event['ruling']}: {event['explanation']}")
    elif event["event"] == "step_judged" and event["by"] == "human":
        print(f"human says {event['ruling']}")


async def main() -> None:
    """Send an invoice, with a critic and a human in the loop."""
    human = HumanStepCritic(tools=["send_invoice"], answers=False)
    settings = ToolAgentSettings(budget=Budget(tokens=20_000), max_tool_calls=10)
    graph = tool_agent_graph(actor(), [calculate_tool(), send_invoice], [checks_amounts, human], settings)
    graph.checkpointer = InMemorySaver()  # a human can be waited for only where the state is kept
    thread: Any = {"configurable": {"thread_id": "customer-7"}}
    given: Any = {"messages": [HumanMessage("Three chairs at 49.50 and a table at 120: send the invoice.")]}
    while True:
        stream: Any = graph.astream(given, thread, stream_mode="custom")
        async for event in stream:
            show(event)
        waiting = (await graph.aget_state(thread)).interrupts
        if not waiting:
            break
        (call,) = waiting[0].value["calls"]
        print(f"somebody asks you: {call['name']}({call['arguments']})?")
        given = Command(resume="pass")  # or {"ruling": "block", "explanation": "..."}
    end = (await graph.aget_state(thread)).values
    result = end["result"]
    print(end["messages"][-1].text)
    counts = f"{result['steps']} steps and {result['tool_calls']} tool calls"
    print(f"{result['stopped_by']} after {counts}; judged: {result['rulings']}")


if __name__ == "__main__":
    asyncio.run(main())
