"""Solve one problem with the packaged actor and critic, and see what the critic said.

Run it with:  python examples/quickstart.py

Prints:
    ... / ... = ...   correct
    ... + ... = ...   correct
    accepted after ... attempts and ... tokens
"""

from __future__ import annotations

import asyncio

from actorcritic import load_roles
from actorcritic.graphs import refinement_graph


async def main() -> None:
    """Build the graph from the embedded pair and ask it."""
    roles = load_roles("embedded")
    graph = refinement_graph(roles.actor, roles.critic)
    end = await graph.ainvoke({"problem": "Use 7, 13 and 14 to make 15."})
    result = end["result"]
    for step, said in zip(result["solution"]["steps"], result["critique"]["steps"], strict=True):
        print(f"{step['text']}   {said['verdict']}")
    print(f"{result['stopped_by']} after {result['attempts']} attempts and {result['usage']['total_tokens']} tokens")
    await roles.aclose()


if __name__ == "__main__":
    asyncio.run(main())
