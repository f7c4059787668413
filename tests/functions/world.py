"""Functions of a caller's own, for tests: they come back in scrambled order and remember how they were called."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from actorcritic.functions.calls import this_call

__all__ = ["Sampler"]


@dataclass
class Sampler:
    """An asynchronous function whose value depends on the call's seed alone, and whose latency on `shuffle`."""

    shuffle: int | None = None
    """Seeds how many turns of the event loop a call takes; None = one."""
    failing: frozenset[int] = frozenset()
    """Candidates whose call raises."""
    tokens: tuple[int, int] | None = None
    """What a call reports: prompt and completion tokens."""
    calls: int = 0
    running: int = 0
    peak: int = 0
    cancelled: int = 0
    parents: list[float | None] = field(default_factory=list[float | None])

    async def __call__(self, parent: float | None = None) -> float:
        call = this_call()
        self.calls += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        self.parents.append(parent)
        try:
            if self.tokens is not None:
                call.charge(prompt_tokens=self.tokens[0], completion_tokens=self.tokens[1])
            turns = 1 if self.shuffle is None else random.Random(f"{self.shuffle} {call.index}").randrange(1, 40)
            for _ in range(turns):
                await asyncio.sleep(0)
            if call.index in self.failing:
                raise TimeoutError(f"call {call.index} is lost")
            fresh = random.Random(call.seed).random()
            return round(fresh if parent is None else parent + (1 - parent) * fresh / 2, 6)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
