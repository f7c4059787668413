"""Several engines with the same model behind one: spread by load, a dead one dropped, tried again, and re-admitted.

Requests with the same beginning go to the same engine while it is not much busier than the others, so that prefix
caches hit. Knows engines by their protocol alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import fields
from hashlib import blake2b
from typing import Any, Protocol, runtime_checkable

from actorcritic.engines.openai.retrying import RetryPolicy, SystemTimer
from actorcritic.errors import EngineError, EngineUnavailable, InputError
from actorcritic.protocols import Capabilities, Engine, EngineInfo, RemoteEncoder
from actorcritic.types import GenerateRequest, Generation, Prompt, ToolSpec

__all__ = ["FleetEngine", "HealthCheck"]

HEAD_LENGTH = 1024
"""Characters of a prompt by which its home is chosen."""


@runtime_checkable
class HealthCheck(Protocol):
    """An engine that can say, without generating, whether it is alive."""

    async def check_health(self) -> None:
        """See that it answers.

        Raises:
            EngineError: it does not.
        """
        ...


class _Member:
    """One engine of a fleet. Mutable."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.running = 0
        self.down: str | None = None
        """Why it was dropped; None = it is up."""
        self.falls = 0
        self.next_probe = 0.0
        self.probe: asyncio.Task[None] | None = None


class FleetEngine:
    """Engines with the same model behind one `Engine`.

    Args:
        engines: at least one; they should not try again for long themselves, since another may do at once.
        name: how a person calls it.
        slack: how many more requests in flight an engine may have than the least busy one and still get those whose
            beginning it knows; 0 = spread by load alone.
        retry: how often all engines are tried in turn, and how long a dropped one waits for its next health check.
        dropped: by place among the engines, why some are known to be down from the beginning.
        timer: clock, waiting and chance.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        name: str | None = None,
        slack: int = 8,
        retry: RetryPolicy | None = None,
        dropped: Mapping[int, EngineError] | None = None,
        timer: SystemTimer | None = None,
    ) -> None:
        if not engines:
            raise InputError("a fleet needs at least one engine")
        first = engines[0].info
        for engine in engines:
            if engine.info.model != first.model:
                raise InputError(
                    f"the servers of a fleet must hold one model: {first.name} has {first.model}, "
                    f"{engine.info.name} has {engine.info.model}"
                )
        self._members = [_Member(engine) for engine in engines]
        self._name = name or " + ".join(engine.info.name for engine in engines)
        self._slack = slack
        self._retry = retry if retry is not None else RetryPolicy()
        self._timer = timer if timer is not None else SystemTimer()
        self._closed = False
        for place, reason in (dropped or {}).items():
            self._drop(self._members[place], reason)

    @property
    def info(self) -> EngineInfo:
        """Who is answering, and what every one of them can do."""
        infos = [member.engine.info for member in self._members]
        lengths = [info.max_context for info in infos if info.max_context is not None]
        return EngineInfo(
            model=infos[0].model,
            name=self._name,
            capabilities=_common([info.capabilities for info in infos]),
            max_context=min(lengths, default=None),
            licence=infos[0].licence,
            notes=tuple(dict.fromkeys(note for info in infos for note in info.notes)),
        )

    @property
    def alive(self) -> tuple[str, ...]:
        """Names of the engines that are not dropped now."""
        return tuple(member.engine.info.name for member in self._members if member.down is None)

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """See `Engine.encode`."""
        return self._in_order(prompt)[0].engine.encode(prompt, tools)

    async def encode_later(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """See `RemoteEncoder.encode_later`."""
        reason: EngineError | None = None
        for member in self._in_order(prompt):
            engine = member.engine
            try:
                if isinstance(engine, RemoteEncoder):
                    return await engine.encode_later(prompt, tools)
                return engine.encode(prompt, tools)
            except EngineUnavailable as error:
                self._drop(member, error)
                reason = error
        raise EngineUnavailable(f"no server of {self._name} counts tokens: {reason}")

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request; where an engine is gone, another one answers.

        Raises:
            EngineUnavailable: none of them answers, or the fleet is closed.
            EngineError: as from the engine: another one would say the same.
        """
        for attempt in range(self._retry.attempts):
            tried: set[int] = set()
            # Later rounds ask dropped ones too: there is nobody else.
            while (member := self._choose(request.prompt, tried, dropped=attempt > 0)) is not None:
                tried.add(id(member))
                member.running += 1
                try:
                    generation = await member.engine.generate(request)
                except EngineUnavailable as error:
                    self._refuse_closed()
                    self._drop(member, error)
                else:
                    member.down, member.falls = None, 0
                    return generation
                finally:
                    member.running -= 1
            if attempt + 1 < self._retry.attempts:
                await self._timer.sleep(self._retry.wait(attempt, self._timer.draw()))
        reasons = "; ".join(str(member.down) for member in self._members)
        raise EngineUnavailable(f"none of {len(self._members)} servers answers: {reasons}")

    async def aclose(self) -> None:
        """Close all engines."""
        self._closed = True
        for member in self._members:
            if member.probe is not None:
                member.probe.cancel()
        for member in self._members:
            await member.engine.aclose()

    def _choose(self, prompt: Prompt, tried: set[int], *, dropped: bool) -> _Member | None:
        """Return who is to answer; None where everybody was asked."""
        self._refuse_closed()
        self._probe_dropped()
        free = [one for one in self._in_order(prompt) if id(one) not in tried and (one.down is None or dropped)]
        if not free:
            return None
        least = min(member.running for member in free)
        return next(member for member in free if member.running <= least + self._slack)

    def _in_order(self, prompt: Prompt) -> list[_Member]:
        """Return the engines by how close they are to a prompt, those that are up first."""
        head = _head(prompt)

        def distance(member: _Member) -> tuple[bool, bytes]:
            name = f"{member.engine.info.name}\n{head}".encode("utf-8", "replace")
            return member.down is not None, blake2b(name, digest_size=8).digest()

        if not self._slack:
            return sorted(self._members, key=lambda member: (member.down is not None, member.running))
        return sorted(self._members, key=distance)

    def _drop(self, member: _Member, error: EngineError) -> None:
        """Give an engine no more requests until it has shown that it is well."""
        if member.down is None:
            member.next_probe = self._timer.now() + self._retry.wait(member.falls, 0.0)
            member.falls += 1
        member.down = str(error)

    def _probe_dropped(self) -> None:
        """Begin the health checks that are due."""
        for member in self._members:
            due = member.down is not None and self._timer.now() >= member.next_probe
            if due and (member.probe is None or member.probe.done()):
                member.probe = asyncio.get_running_loop().create_task(self._probe(member))

    async def _probe(self, member: _Member) -> None:
        try:
            if isinstance(member.engine, HealthCheck):
                await member.engine.check_health()
        except EngineError as error:
            member.down = str(error)
            member.next_probe = self._timer.now() + self._retry.wait(member.falls, 0.0)
            member.falls += 1
        else:
            member.down = None

    def _refuse_closed(self) -> None:
        if self._closed:
            raise EngineUnavailable(f"{self._name} is closed")


def _head(prompt: Prompt) -> str:
    """Return what the prompts of one problem have in common: the beginning of its text or of its first user message."""
    if isinstance(prompt.content, str):
        return prompt.content[:HEAD_LENGTH]
    asked = (message.content for message in prompt.content if message.role == "user")
    return next(asked, "")[:HEAD_LENGTH]


def _common(all_of: Sequence[Capabilities]) -> Capabilities:
    """Return what all of them can do: of every ability the least, whatever abilities there are."""
    least: dict[str, Any] = {item.name: min(getattr(one, item.name) for one in all_of) for item in fields(Capabilities)}
    return Capabilities(**least)
