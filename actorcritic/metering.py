"""The way from a role to an engine: seeds, admits, bills and keeps every call of one trial.

Knows nothing of policies, graphs or files. A `CallMeter` belongs to one trial; what it kept goes into the trajectory.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from actorcritic.budget import Charge, Lease, Ledger
from actorcritic.errors import EngineError
from actorcritic.protocols import Engine
from actorcritic.types import GenerateRequest, Generation, Role, Usage

__all__ = ["Call", "CallMeter", "Price", "derive_seed", "free_meter"]

RETRIES = 2
"""How often a retryable engine error is tried again before it counts as a failure."""


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on every part and on nothing else."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs per million tokens; cached prompt tokens may be cheaper."""

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None
    """None = as `prompt`."""

    def of(self, usage: Usage) -> float:
        """Return the money that a call cost."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (fresh * self.prompt + usage.cached_tokens * cached + usage.completion_tokens * self.completion) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One finished call, as it is logged."""

    role: Role
    engine: str
    model: str
    request: GenerateRequest
    generation: Generation
    usage: Usage
    """With the logical tokens as the trial saw them."""
    seconds: float


class CallMeter:
    """The `Meter` of one trial. Mutable: it keeps its calls, and tells `on_call` of each as it ends."""

    def __init__(
        self,
        lease: Lease,
        *,
        seed: int,
        prices: dict[str, Price] | None = None,
        on_call: Callable[[Call], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease = lease
        self.seed = seed
        self.calls: list[Call] = []
        self._prices = prices or {}
        self._on_call = on_call
        self._clock = clock

    async def generate(self, engine: Engine, request: GenerateRequest, *, role: Role) -> Generation:
        """See `Meter.generate`."""
        model = engine.info.model
        prompt_ids = engine.encode(request.prompt)
        grant = self.lease.admit(model, prompt_ids, request.max_tokens)
        nth = sum(call.role == role for call in self.calls)
        seed = request.seed if request.seed is not None else derive_seed(self.seed, role, nth)
        request = replace(request, max_tokens=grant.max_tokens, seed=seed)
        started = self._clock()
        try:
            generation = await self._attempt(engine, request)
        except asyncio.CancelledError:
            # How many tokens the engine spent is unknown; the bill takes the most it can have been.
            spent = Usage(calls=1, prompt_tokens=len(prompt_ids), completion_tokens=grant.max_tokens)
            self.lease.charge(Charge(role=role, model=model, prompt_ids=prompt_ids, completion_ids=(), usage=spent))
            raise
        except EngineError:
            spent = Usage(calls=1, prompt_tokens=len(prompt_ids))
            self.lease.charge(Charge(role=role, model=model, prompt_ids=prompt_ids, completion_ids=(), usage=spent))
            raise
        price = self._prices.get(model)
        charge = Charge(
            role=role,
            model=model,
            prompt_ids=generation.prompt_ids or prompt_ids,
            completion_ids=generation.token_ids,
            usage=generation.usage,
            money=price.of(generation.usage) if price else 0.0,
        )
        usage = self.lease.charge(charge)
        call = Call(
            role=role,
            engine=engine.info.name,
            model=model,
            request=request,
            generation=generation,
            usage=usage,
            seconds=self._clock() - started,
        )
        self.calls.append(call)
        if self._on_call is not None:
            self._on_call(call)
        return generation

    async def _attempt(self, engine: Engine, request: GenerateRequest) -> Generation:
        """Call the engine, trying again where it says that this may help."""
        for attempt in range(RETRIES + 1):
            try:
                return await engine.generate(request)
            except EngineError as error:
                if not error.retryable or attempt == RETRIES:
                    raise
        raise AssertionError("unreachable")


def free_meter(seed: int = 0) -> CallMeter:
    """Return a meter without limits, for a role that is used on its own."""
    lease = Ledger().lease(0)
    assert lease is not None  # an unlimited ledger always grants
    return CallMeter(lease, seed=seed)


