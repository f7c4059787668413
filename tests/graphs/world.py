"""A small world without a model: a scripted actor that plays countdown at random, and a critic that knows the rules.

Both speak the embedded pair's own format, so everything above the engine is the real thing. What the actor writes
depends on the request alone (its seed), never on timing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from actorcritic.actor import ModelActor
from actorcritic.critic import ModelCritic
from actorcritic.engines.scripted import ScriptedEngine
from actorcritic.errors import EngineError
from actorcritic.formats.embedded import EmbeddedActorFormat, EmbeddedCriticFormat
from actorcritic.formats.lines import render_lines
from actorcritic.tasks import countdown
from actorcritic.types import GenerateRequest, Problem, Solution

PROBLEM = Problem(id="p", prompt="Use 7, 13 and 14 to make 15.", checker="countdown")
HARD = Problem(id="h", prompt="Use 3, 5, 8 and 11 to make 24.", checker="countdown")

LINE = re.compile(r"^(\d+) ([-+*/]) (\d+) (\d+) ")


def read_prompt(request: GenerateRequest) -> tuple[countdown.Countdown, list[str]]:
    """Return the puzzle and the kept steps in an actor's or a critic's prompt."""
    assert isinstance(request.prompt.content, str)
    head, *lines = (request.prompt.content + request.prompt.prefill).splitlines()
    *numbers, target = re.findall(r"\d+", head)
    found = [match for line in lines if (match := LINE.match(line))]
    steps = [f"{m[1]} {m[2]} {m[3]} = {m[4]}" for m in found]
    return countdown.Countdown(tuple(map(int, numbers)), int(target)), steps


def play(request: GenerateRequest) -> str:
    """Go on at random from the kept steps."""
    puzzle, steps = read_prompt(request)
    rng = random.Random(request.seed)
    kept = len(render_lines(puzzle, steps))
    state = tuple(sorted(puzzle.numbers))
    for step in steps:
        equation = countdown.parse_step(step)
        assert equation is not None
        state = countdown.after(state, equation)
    while len(state) > 1:
        move = rng.choice([move for move in countdown.moves(state) if move.result <= 255])
        steps.append(move.render())
        state = countdown.after(state, move)
    return "".join(render_lines(puzzle, steps)[kept:])


def know(request: GenerateRequest) -> str:
    """Say of every step what the rules say."""
    puzzle, steps = read_prompt(request)
    return "".join(f"{label.code}\n" for label in countdown.label(puzzle, steps))


class WordCriticFormat(EmbeddedCriticFormat):
    """The embedded critic's format for an engine that takes a verdict and its newline for two tokens."""

    def max_tokens(self, solution: Solution) -> int:
        """Two tokens per step and the end token."""
        return 2 * len(solution.steps) + 1


def world(
    *, latencies: Sequence[float] = (), failures: dict[int, EngineError] | None = None, max_tokens: int = 64
) -> tuple[ModelActor, ModelCritic]:
    """Return the pair; latencies scramble the order in which calls come back."""
    actor = ScriptedEngine(play, latencies=latencies, failures=failures, name="actor")
    critic = ScriptedEngine(know, latencies=tuple(reversed(latencies)), name="critic")
    return ModelActor(actor, EmbeddedActorFormat(), max_tokens=max_tokens), ModelCritic(critic, WordCriticFormat())
