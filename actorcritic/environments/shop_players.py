"""Doubles that play and judge in the shop with a stated skill: for measuring searches without a model.

The shopper misjudges what each action is worth by a fixed error per state and action, as a model would that is wrong in
the same way every time, and draws the better-looking actions more often. The judge sees the true value of a state with
noise. Both are scripted engines behind the real formats, so that their calls and tokens are on the bill.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence

from actorcritic.actor import ModelActor
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import Reply, ScriptedEngine
from actorcritic.environments.shop import State, act, actions, earned, start
from actorcritic.environments.shop_values import values_of
from actorcritic.formats.environment import EnvironmentActorFormat, EnvironmentCriticFormat, find_action
from actorcritic.types import GenerateRequest, Message

__all__ = ["choice_weights", "shop_critic", "shop_shopper"]

_SHOP = re.compile(r"Shop (\d+)\.")
_JUDGED = re.compile(r"^Action \d+\n(`{3,})action\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)


def choice_weights(seed: int, state: State, *, error: float, spread: float) -> dict[str, float]:
    """Return how probable each action is that can be done.

    Args:
        seed: Of the shop.
        state: Where the shopper stands.
        error: Standard deviation of its misjudgement, in units of the return; 0 = it knows the true values.
        spread: How freely it draws, > 0: the probability goes with exp(judged value / spread).
    """
    values = values_of(seed)
    judged = {
        action: values.worth(state, action) + random.Random(f"{seed}|{_place(state)}|{action}").gauss(0.0, error)
        for action in actions(values.shop, state)
    }
    highest = max(judged.values())
    weights = {action: math.exp((value - highest) / spread) for action, value in judged.items()}
    total = sum(weights.values())
    return {action: weight / total for action, weight in weights.items()}


def shop_shopper(
    *, error: float = 0.25, spread: float = 0.1, latencies: Sequence[float] = (), name: str = "shopper"
) -> ModelActor:
    """Return an actor of known skill; see `choice_weights`."""

    def play(request: GenerateRequest) -> Reply:
        assert not isinstance(request.prompt.content, str)  # the format writes chats
        seed, state = _where(request.prompt.content)
        weights = choice_weights(seed, state, error=error, spread=spread)
        if request.sampling.temperature == 0:
            chosen = max(weights, key=weights.__getitem__)
        else:
            draw = random.Random(f"{request.seed}")
            chosen = draw.choices(list(weights), list(weights.values()))[0]
        # All that is uncertain is which action: its probability stands at the first token, the others are certain.
        return Reply(text=f"Action: {chosen}", logprobs=(math.log(weights[chosen]), *[0.0] * 32))

    engine = ScriptedEngine(play, name=name, latencies=latencies)
    return ModelActor(engine, EnvironmentActorFormat(), max_tokens=64)


def shop_critic(*, error: float = 0.15, latencies: Sequence[float] = (), name: str = "shop-judge") -> ModelCritic:
    """Return a critic that sees what the best play earns from here on, with normal noise of this standard deviation.

    The noise is fixed per episode so far, and the score is rounded to tenths.
    """

    def judge(request: GenerateRequest) -> str:
        assert not isinstance(request.prompt.content, str)  # likewise
        text = request.prompt.content[-1].content
        done = [match[2] for match in _JUDGED.finditer(text)]
        seed = _seed(text)
        value = _value(seed, done) + random.Random(f"{seed}|{done}").gauss(0.0, error)
        return f"Explanation: {_remark(value)}\nScore: {round(10 * min(1.0, max(0.0, value)))}"

    return ModelCritic(ScriptedEngine(judge, name=name, latencies=latencies), EnvironmentCriticFormat())


def _remark(value: float) -> str:
    return "this is going well" if value >= 0.5 else "this is going wrong; look for a better fit before buying"


def _value(seed: int, done: Sequence[str]) -> float:
    """Return the true value of the state after some actions: what was earned, or can be."""
    values, state = values_of(seed), start()
    for action in done:
        before, state = state, act(values.shop, state, action)
        if state.page == "end":
            return earned(values.shop, before)
    return values.value(state)


def _where(messages: Sequence[Message]) -> tuple[int, State]:
    """Return the shop and the state that a chat has come to."""
    seed = _seed(next(message.content for message in messages if message.role == "user"))
    shop, state = values_of(seed).shop, start()
    for message in messages:
        if message.role == "assistant":
            state = act(shop, state, find_action(message.content))
    return seed, state


def _seed(text: str) -> int:
    found = _SHOP.search(text)
    assert found is not None  # every task begins so
    return int(found[1])


def _place(state: State) -> tuple[str, ...]:
    """Return a state without the time: the shopper misjudges a page in the same way whenever it sees it."""
    return (state.page, state.query, str(state.first), state.good, state.colour, state.size)
