"""Bring a critic of your own: a function that looks at a solution and says of every step what it thinks.

Run it with:  python examples/own_critic.py

Prints:
    ...
    accepted by my own critic: ... = 24
"""

from __future__ import annotations

import asyncio

from actorcritic import (
    Budget,
    Critique,
    FunctionCritic,
    Problem,
    Solution,
    StepCritique,
    Verdict,
    load_roles,
    parse_strategy,
)
from actorcritic.graphs import SearchSettings, refinement_graph
from actorcritic.tools.calculate import calculate


def reaches_24(problem: Problem, solution: Solution) -> Critique:
    """Recompute every equation, and want the last one to make 24."""
    steps = []
    for index, step in enumerate(solution.steps):
        left, _, right = step.text.partition("=")
        value = calculate(left)
        last = index == len(solution.steps) - 1
        if value != right.strip():
            steps.append(StepCritique(verdict=Verdict.INCORRECT, explanation=f"bad-result: it is {value}"))
        elif last and value != "24":
            steps.append(StepCritique(verdict=Verdict.INCORRECT, explanation="wrong: this is not 24"))
        else:
            steps.append(StepCritique(verdict=Verdict.CORRECT))
    wrong = any(step.verdict is Verdict.INCORRECT for step in steps)
    # A wrong end means that the plan was wrong from the first step on, so revise from there.
    if wrong:
        steps[0] = StepCritique(verdict=Verdict.INCORRECT, explanation="unreachable: this leads nowhere")
    return Critique(steps=tuple(steps), verdict=Verdict.INCORRECT if wrong else Verdict.CORRECT)


async def main() -> None:
    """Let the embedded actor work under that critic."""
    roles = load_roles("embedded", "none")
    settings = SearchSettings(strategy=parse_strategy("revise:max_revisions=1"), budget=Budget(tokens=2000), seed=3)
    graph = refinement_graph(roles.actor, FunctionCritic(reaches_24), settings)
    end = await graph.ainvoke({"problem": "Use 2, 5 and 14 to make 24."})
    result = end["result"]
    for step in result["solution"]["steps"]:
        print(step["text"])
    print(f"{result['stopped_by']} by my own critic: {end['answer']}")
    await roles.aclose()


if __name__ == "__main__":
    asyncio.run(main())
