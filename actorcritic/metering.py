"""The way from a role to an engine: seeds, admits, bills and keeps every call of one trial.

Knows nothing of policies, graphs or files. A `CallMeter` belongs to one trial; what it kept goes into the trajectory.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from actorcritic.budget import Charge, Lease, Ledger, Price
from actorcritic.errors import EngineError
from actorcritic.observation import Observation
from actorcritic.protocols import Engine, RemoteEncoder, TakeStep
from actorcritic.types import GenerateRequest, Generation, Role, Usage

__all__ = ["Call", "CallMeter", "EnvironmentStep", "StepMeter", "derive_seed", "free_meter"]

RETRIES = 2
"""How often a retryable engine error is tried again before it counts as a failure."""


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on every part and on nothing else."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that ended, as it is logged."""

    role: Role
    engine: str
    model: str
    request: GenerateRequest
    generation: Generation | None
    """None where the engine failed or the call was cancelled: it is charged all the same."""
    charge: Charge
    """What the ledger takes for it."""
    usage: Usage
    """With the logical tokens as the trial saw them."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentStep:
    """One step in an environment that ended, as it is logged."""

    environment: str
    """Its name."""
    action: str
    observation: Observation | None
    """None where the environment failed or the step was cancelled: it is charged all the same."""
    replayed: int = 0
    """Steps that were taken again before it, in order to come back to its state."""
    seconds: float


class StepMeter:
    """The part of a trial's meter that counts its steps in an environment. Mutable."""

    def __init__(
        self,
        lease: Lease,
        *,
        past: Sequence[EnvironmentStep] = (),
        on_step: Callable[[EnvironmentStep], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the meter of a trial.

        Args:
            lease: What the trial may spend.
            past: Steps that this trial took before the run broke off, in order; they are not taken again.
            on_step: Hears of each step as it ends, past ones excepted.
            clock: Gives seconds.
        """
        self._lease = lease
        self._past = deque(past)
        self._on_step = on_step
        self._clock = clock

    def admit(self) -> None:
        """See `Meter.admit_step`."""
        self._lease.admit_step()

    async def take(self, environment: str, action: str, take: TakeStep) -> Observation:
        """See `Meter.step`."""
        self._lease.admit_step()
        recalled = self._recall(environment, action)
        if recalled is not None:
            return recalled
        started, replayed = self._clock(), 0

        def note() -> None:
            nonlocal replayed
            replayed += 1

        observation: Observation | None = None
        try:
            observation = await take(note)
            return observation
        finally:
            self._lease.charge_step(replayed)
            step = EnvironmentStep(
                environment=environment,
                action=action,
                observation=observation,
                replayed=replayed,
                seconds=self._clock() - started,
            )
            if self._on_step is not None:
                self._on_step(step)

    def _recall(self, environment: str, action: str) -> Observation | None:
        """Return what this very step showed before the run broke off, and charge it; None if it was not taken."""
        if not self._past or (self._past[0].environment, self._past[0].action) != (environment, action):
            return None
        step = self._past.popleft()
        self._lease.charge_step(step.replayed)
        return step.observation


class CallMeter:
    """The `Meter` of one trial. Mutable: it keeps its finished calls, and tells `on_call` of each call as it ends."""

    def __init__(
        self,
        lease: Lease,
        *,
        seed: int,
        prices: dict[str, Price] | None = None,
        past: Sequence[Call] = (),
        on_call: Callable[[Call], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        steps: StepMeter | None = None,
    ) -> None:
        """Make the meter of a trial.

        Args:
            lease: What the trial may spend.
            seed: Every call's seed is derived from it.
            prices: Per model; a model without one costs nothing.
            past: Calls that this trial finished before the run broke off; the same requests are answered with them.
            on_call: Hears of each call as it ends, past ones excepted.
            clock: Gives seconds.
            steps: Counts the steps in an environment, under the same lease; None = one that nobody hears.
        """
        self.lease = lease
        self._steps = steps if steps is not None else StepMeter(lease, clock=clock)
        self.seed = seed
        self.calls: list[Call] = []
        self._prices = prices or {}
        self._past = list(past)
        self._on_call = on_call
        self._clock = clock

    async def generate(self, engine: Engine, request: GenerateRequest, *, role: Role) -> Generation:
        """See `Meter.generate`."""
        model = engine.info.model
        prompt_ids = await _encode(engine, request)
        price = self._prices.get(model)
        grant = self.lease.admit(model, prompt_ids, request.max_tokens, price)
        nth = sum(call.role == role for call in self.calls)
        seed = request.seed if request.seed is not None else derive_seed(self.seed, role, nth)
        request = replace(request, max_tokens=grant.max_tokens, seed=seed)
        recalled = self._recall(role, model, request)
        if recalled is not None:
            return recalled
        started = self._clock()

        def settle(generation: Generation | None, usage: Usage) -> None:
            charge = Charge(
                role=role,
                model=model,
                prompt_ids=(generation.prompt_ids if generation is not None else ()) or prompt_ids,
                completion_ids=generation.token_ids if generation is not None else (),
                usage=usage,
                money=price.of(usage) if price is not None else 0.0,
            )
            call = Call(
                role=role,
                engine=engine.info.name,
                model=model,
                request=request,
                generation=generation,
                charge=charge,
                usage=self.lease.charge(charge),
                seconds=self._clock() - started,
            )
            if generation is not None:
                self.calls.append(call)
            if self._on_call is not None:
                self._on_call(call)

        unanswered = Usage(calls=1, prompt_tokens=len(prompt_ids))
        try:
            generation = await self._attempt(engine, request)
        except asyncio.CancelledError:
            # How many tokens the engine spent is unknown; the bill takes the most it can have been.
            settle(None, replace(unanswered, completion_tokens=grant.max_tokens))
            raise
        except EngineError:
            settle(None, unanswered)
            raise
        settle(generation, generation.usage)
        return generation

    def admit_step(self) -> None:
        """See `Meter.admit_step`."""
        self._steps.admit()

    async def step(self, environment: str, action: str, take: TakeStep) -> Observation:
        """See `Meter.step`."""
        return await self._steps.take(environment, action, take)

    def take_over(self, role: Role | None = None) -> None:
        """Charge the past calls of a role (None = all) whose result is known, so that they need not be made again."""
        for call in [past for past in self._past if role is None or past.role == role]:
            self._take(call)

    def _recall(self, role: Role, model: str, request: GenerateRequest) -> Generation | None:
        """Return what this very call brought before the run broke off, and charge it; None if it was not made."""
        for call in self._past:
            same = call.role == role and call.model == model and call.request.seed == request.seed
            if same and call.request.prompt == request.prompt and call.generation is not None:
                self._take(call)
                return call.generation
        return None

    def _take(self, call: Call) -> None:
        """Move a past call among this trial's calls."""
        self._past.remove(call)
        self.lease.charge(call.charge)
        if call.generation is not None:
            self.calls.append(call)

    async def _attempt(self, engine: Engine, request: GenerateRequest) -> Generation:
        """Call the engine, trying again where it says that this may help."""
        for attempt in range(RETRIES + 1):
            try:
                return await engine.generate(request)
            except EngineError as error:
                if not error.retryable or attempt == RETRIES:
                    raise
        raise AssertionError("unreachable")


async def _encode(engine: Engine, request: GenerateRequest) -> tuple[int, ...]:
    """Return the ids of a request's prompt, without holding up others where a server has to be asked."""
    if _encodes_remotely(type(engine)):
        return await cast("RemoteEncoder", engine).encode_later(request.prompt, request.tools)
    return engine.encode(request.prompt, request.tools)


@lru_cache
def _encodes_remotely(kind: type[Engine]) -> bool:
    """Return whether a kind of engine is a `RemoteEncoder`; asking this of an object is slow."""
    return issubclass(kind, RemoteEncoder)


def free_meter(seed: int = 0) -> CallMeter:
    """Return a meter without limits, for a role that is used on its own."""
    lease = Ledger().lease(0)
    assert lease is not None  # an unlimited ledger always grants
    return CallMeter(lease, seed=seed)
