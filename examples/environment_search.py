"""Search in an environment of your own: several actions are tried from the same state, and the best episode is kept.

Run it with:  python examples/environment_search.py

Prints:
    greedy       earned 0.0 in 8 steps: completed
    best-of-n    earned 1.0 in ... steps: accepted
    mcts         earned 1.0 in ... steps: accepted
      go north
      ...
      open chest
"""

from __future__ import annotations

import asyncio
import random

from actorcritic import Budget, ModelActor, Problem
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.environments.actor import EnvironmentActor
from actorcritic.environments.worlds import problem_in
from actorcritic.formats.environment import EnvironmentActorFormat
from actorcritic.graphs.environment_search import ROLLOUTS, environment_search_graph, environment_settings
from actorcritic.observation import Observation
from actorcritic.protocols import EnvironmentInfo
from actorcritic.records import problem_record
from actorcritic.types import GenerateRequest

INFO = EnvironmentInfo(name="house-1", max_steps=8, oracle=False)  # whoever opens the chest sees what it earned
DOORS = {("hall", "north"): "kitchen", ("hall", "east"): "cellar", ("kitchen", "south"): "hall"}


class House:
    """A hall, a kitchen with a key, and a cellar with a chest and no way out."""

    info = INFO

    async def reset(self) -> Observation:
        """Go to the beginning."""
        self.room, self.has_key, self.opened, self.left = "hall", False, False, 8
        return self.shown("Open the chest in the cellar with the key. ")

    async def step(self, action: str) -> Observation:
        """Do what an actor wrote."""
        self.left -= 1
        before = self.has_key + self.opened
        verb, _, what = action.partition(" ")
        if verb == "go":
            self.room = DOORS.get((self.room, what), self.room)
        elif action == "take key":
            self.has_key |= self.room == "kitchen"
        elif action == "open chest":
            self.opened |= self.room == "cellar" and self.has_key
        return self.shown(reward=(self.has_key + self.opened - before) / 2)

    async def snapshot(self) -> object:
        """Remember the state; leave this and `restore` out, and a search replays the actions instead."""
        return self.room, self.has_key, self.opened, self.left

    async def restore(self, snapshot: object) -> None:
        """Go back to it."""
        assert isinstance(snapshot, tuple)
        self.room, self.has_key, self.opened, self.left = snapshot

    async def aclose(self) -> None:
        """Hold nothing."""

    def shown(self, task: str = "", reward: float = 0.0) -> Observation:
        """Say what can be seen."""
        ways = [f"go {way}" for room, way in DOORS if room == self.room]
        things = {"kitchen": ["take key"], "cellar": ["open chest"]}.get(self.room, [])
        return Observation(
            text=f"{task}You are in the {self.room}{' with the key' if self.has_key else ''}.",
            reward=reward,
            done=self.opened or self.left == 0,
            actions=(*ways, *things, "wait"),
        )


def play(request: GenerateRequest) -> str:
    """Stand in for a chat model: any listed action, and greedily always the first idea, the cellar."""
    shown = request.prompt.content[-1]
    assert not isinstance(shown, str)
    listed = [line[2:] for line in shown.content.splitlines() if line.startswith("- ")]
    greedy = "go east" if "go east" in listed else listed[0]
    return f"Action: {greedy if request.sampling.temperature == 0 else random.Random(request.seed).choice(listed)}"


async def open_house(problem: Problem) -> House:
    """Open one world; a search opens as many as it has trials in flight."""
    return House()


async def main() -> None:
    """Play the house with three strategies and 200 steps in it each."""
    problem = problem_record(await problem_in(House(), "house")).model_dump()
    actor = EnvironmentActor(ModelActor(ScriptedEngine(play), EnvironmentActorFormat()), open_house, INFO)
    for name, strategy in (
        ("greedy", "best-of-n:score=verifier,first=greedy,n=1"),
        ("best-of-n", "best-of-n:score=verifier,stop_at=1"),
        ("mcts", f"{ROLLOUTS},stop_at=1"),
    ):
        settings = environment_settings(strategy, INFO, budget=Budget(steps=200), seed=1)
        end = await environment_search_graph(actor, None, settings).ainvoke({"problem": problem})
        steps = end["result"]["usage"]["environment_steps"]
        print(f"{name:12} earned {end['result']['reward']} in {steps} steps: {end['result']['stopped_by']}")
    print("\n".join(f"  {action}" for action in end["answer"].splitlines()))


asyncio.run(main())
