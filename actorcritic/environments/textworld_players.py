"""Doubles that play and judge TextWorld's cooking games by what they read: for measuring searches without a model.

The cook goes by rules of thumb over the chat alone, misjudges what each action is worth by a fixed error per situation,
as a model would that is wrong in the same way every time, and draws the better-looking actions more often. The judge
estimates from the episode's text how much of the recipe will be done, with noise. Neither sees a hidden state. Both are
scripted engines behind the real formats, so that their calls and tokens are on the bill.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from actorcritic.actor import ModelActor
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.formats.environment import EnvironmentActorFormat, EnvironmentCriticFormat, find_action
from actorcritic.types import GenerateRequest, Message

__all__ = ["Kitchen", "appeal", "textworld_cook", "textworld_judge", "way_of"]

POINT = "Your score has just gone up by one point."
LOST = "*** You lost! ***"
BLIND = 8
"""Points that the judge reckons with as long as the recipe is unread."""

_ACTIONS = re.compile(r"What can be done now:\n((?:- .*(?:\n|\Z))+)")
_RECIPE = re.compile(r"Ingredients:\n(?P<foods>.*?)\n\nDirections:\n(?P<ways>.*?)(?:\n\n|\Z)", re.DOTALL)
_WAY = re.compile(r"(\w+) the (.+)")
_PLAYED = re.compile(
    r"^Action \d+\n(`{3,})action\n(.*?)\n\1(?:\n\nShown then\n(`{3,})observation\n(.*?)\n\3)?$",
    re.MULTILINE | re.DOTALL,
)
_ROOM = re.compile(r"^-= (.+) =-$", re.MULTILINE)
_FINAL = re.compile(r"You scored (\d+) out of a possible (\d+)")
_HEAT = {"stove": "fry", "oven": "roast", "BBQ": "grill"}
_CUTS = ("chop", "slice", "dice")


@dataclass(frozen=True)
class Kitchen:
    """What an episode's text tells: what was done, each action with what was shown then; read once."""

    played: tuple[tuple[str, str], ...]
    opening: str = ""
    """What was shown before the first action."""

    @property
    def points(self) -> int:
        """How often the score went up."""
        return sum(shown.count(POINT) for _, shown in self.played)

    @cached_property
    def foods(self) -> frozenset[str]:
        """The ingredients, once the recipe was read."""
        found = self._recipe()
        return frozenset() if found is None else frozenset(line.strip() for line in found["foods"].splitlines())

    @cached_property
    def ways(self) -> frozenset[tuple[str, str]]:
        """What the recipe has one do, such as ("fry", "red apple")."""
        found = self._recipe()
        lines = [] if found is None else [line.strip() for line in found["ways"].splitlines()]
        return frozenset((match[1], match[2]) for line in lines if (match := _WAY.fullmatch(line)))

    @cached_property
    def left(self) -> frozenset[tuple[str, str]]:
        """What of it was not done yet."""
        return self.ways - set(map(way_of, self.actions))

    @property
    def ruined(self) -> bool:
        """Whether something was done to an ingredient that the recipe does not say, or twice: no way leads back."""
        done = [way for way in map(way_of, self.actions) if way is not None and way[1] in self.foods]
        return len(set(done)) < len(done) or not set(done) <= self.ways

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """What was done, in order."""
        return tuple(action for action, _ in self.played)

    @property
    def possible(self) -> int:
        """The points of the game: one for each ingredient and each way, for the meal and for eating it."""
        return len(self.foods) + len(self.ways) + 2 if self.foods else BLIND

    @cached_property
    def rooms(self) -> tuple[str, ...]:
        """Where one stood before each action, and stands now; "" where no text has said it yet."""
        return tuple(accumulate((_room(shown) for _, shown in self.played), _last, initial=_room(self.opening)))

    def times(self, action: str) -> int:
        """Return how often an action was done in the room where one stands."""
        return list(zip(self.actions, self.rooms, strict=False)).count((action, self.rooms[-1]))

    def _recipe(self) -> re.Match[str] | None:
        return next((found for _, shown in self.played if (found := _RECIPE.search(shown))), None)


def _room(shown: str) -> str:
    """Return the room that a text says one stands in; "" where it says none."""
    found = _ROOM.search(shown)
    return found[1] if found is not None else ""


def _last(before: str, now: str) -> str:
    return now or before


def way_of(action: str) -> tuple[str, str] | None:
    """Return what an action does to a food, as a recipe says it; None where it does nothing to one."""
    verb, _, rest = action.partition(" ")
    food, _, tool = rest.partition(" with ")
    if verb == "cook":
        return (_HEAT.get(tool, "cook"), food)
    return (verb, food) if verb in _CUTS else None


def appeal(action: str, kitchen: Kitchen) -> float:
    """Return what an action looks worth to who goes by rules of thumb, in [0, 1]."""
    verb, _, rest = action.partition(" ")
    again = 0.15 * kitchen.times(action)
    if verb in ("prepare", "eat"):
        ready = bool(kitchen.foods) and not kitchen.left
        return max(0.0, 1.0 - again) if ready and rest == "meal" else 0.0
    way = way_of(action)
    if way is not None:
        return 0.9 if way in kitchen.left else 0.0
    if action == "examine cookbook":
        return 0.1 if kitchen.foods else 1.0
    if verb == "take":
        return max(0.0, _take(rest.partition(" from ")[0], kitchen) - again)
    return max(0.0, {"open": 0.6, "go": 0.45}.get(verb, 0.1) - again)


def _take(thing: str, kitchen: Kitchen) -> float:
    """Return what it looks worth to take something."""
    if thing == "knife":
        return 0.75 if any(verb in _CUTS for verb, _ in kitchen.left) else 0.2
    if kitchen.foods:
        return 0.85 if thing in kitchen.foods else 0.05
    return 0.3


def textworld_cook(
    *, error: float = 0.4, spread: float = 0.08, latencies: Sequence[float] = (), name: str = "cook"
) -> ModelActor:
    """Return an actor that plays by rules of thumb.

    Args:
        error: Standard deviation of its misjudgement, in units of `appeal`.
        spread: How freely it draws, > 0: the probability goes with exp(judged appeal / spread).
        latencies: See `ScriptedEngine`.
        name: Of the engine.
    """

    def play(request: GenerateRequest) -> Reply:
        assert not isinstance(request.prompt.content, str)  # the format writes chats
        weights = _weights(request.prompt.content, error, spread)
        if request.sampling.temperature == 0:
            chosen = max(weights, key=weights.__getitem__)
        else:
            chosen = random.Random(f"{request.seed}").choices(list(weights), list(weights.values()))[0]
        # All that is uncertain is which action: its probability stands at the first token, the others are certain.
        return Reply(text=f"Action: {chosen}", logprobs=(math.log(weights[chosen]), *[0.0] * 32))

    engine = ScriptedEngine(play, name=name, latencies=latencies)
    return ModelActor(engine, EnvironmentActorFormat(), max_tokens=64)


def textworld_judge(*, error: float = 0.15, latencies: Sequence[float] = (), name: str = "taster") -> ModelCritic:
    """Return a critic that estimates the share of the points that an episode will come to, with normal noise.

    Args:
        error: Standard deviation of the noise, which is fixed per episode so far; the score is rounded to tenths.
        latencies: See `ScriptedEngine`.
        name: Of the engine.
    """

    def judge(request: GenerateRequest) -> str:
        assert not isinstance(request.prompt.content, str)  # likewise
        text = request.prompt.content[-1].content
        kitchen = Kitchen(tuple((match[2], match[4] or "") for match in _PLAYED.finditer(text)))
        task = text.partition("Action 1\n")[0]
        value = _estimate(kitchen) + random.Random(f"{task}|{kitchen.actions}").gauss(0.0, error)
        return f"Explanation: {_remark(kitchen)}\nScore: {round(10 * min(1.0, max(0.0, value)))}"

    return ModelCritic(ScriptedEngine(judge, name=name, latencies=latencies), EnvironmentCriticFormat())


def _weights(messages: Sequence[Message], error: float, spread: float) -> dict[str, float]:
    """Return how probable each action is that can be done."""
    actions = [find_action(message.content) for message in messages if message.role == "assistant"]
    shown = [message.content for message in messages if message.role == "user"]
    kitchen = Kitchen(tuple(zip(actions, shown[1:], strict=False)), opening=shown[0])
    found = _ACTIONS.findall(shown[-1])
    offered = [line[2:] for line in found[0].splitlines()] if found else ["look"]
    # A page that is seen again is misjudged in the same way; what was done and shown before it plays no part.
    judged = {
        action: appeal(action, kitchen) + random.Random(f"{shown[0]}|{shown[-1]}|{action}").gauss(0.0, error)
        for action in offered
    }
    highest = max(judged.values())
    weights = {action: math.exp((value - highest) / spread) for action, value in judged.items()}
    total = sum(weights.values())
    return {action: weight / total for action, weight in weights.items()}


def _estimate(kitchen: Kitchen) -> float:
    """Return the share of the points that an episode comes to, or looks to come to."""
    last = kitchen.played[-1][1] if kitchen.played else ""
    final = _FINAL.search(last)
    if final is not None:
        return int(final[1]) / max(1, int(final[2]))
    share = min(1.0, kitchen.points / kitchen.possible)
    if LOST in last or kitchen.ruined or "Your time is up." in last:
        return share
    return share + (1 - share) * (0.6 if kitchen.foods else 0.4)


def _remark(kitchen: Kitchen) -> str:
    """Return what there is to say of an episode."""
    if not kitchen.foods:
        return "the recipe has not been read: examine the cookbook before touching any food"
    if kitchen.ruined:
        return "an ingredient was prepared in another way than the recipe says; nothing can mend it"
    left = sorted(f"{verb} the {food}" for verb, food in kitchen.left)
    return f"still to be done: {', '.join(left)}" if left else "all is prepared: make the meal and eat it"
