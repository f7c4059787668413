"""When a request to a server is tried again, and how many are sent to it at a time. Knows no HTTP library."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from actorcritic.errors import InputError

__all__ = ["Gate", "RetryPolicy", "SystemTimer", "read_retry_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and after how long. This is the only place where a request to a server is tried again."""

    attempts: int = 6
    """Tries of one request in all, >= 1."""
    first_wait: float = 0.5
    """Seconds before the second try, doubled for each one after it."""
    longest_wait: float = 30.0
    """Seconds."""
    longest_asked: float = 120.0
    """Seconds that a server may ask to be left alone for; where it asks for more, the request fails."""

    def __post_init__(self) -> None:
        """Refuse no try at all."""
        if self.attempts < 1:
            raise InputError(f"attempts must be at least 1, not {self.attempts}")

    def wait(self, attempt: int, draw: float) -> float:
        """Return the seconds after try `attempt` (0-based): exponential, `draw` in [0, 1) takes off up to a half."""
        return min(self.longest_wait, self.first_wait * 2.0 ** min(attempt, 64)) * (1 - draw / 2)


class SystemTimer:
    """The clock and the chance of a real run; a test gives its own."""

    def __init__(self) -> None:
        self._random = random.Random()

    def now(self) -> float:
        """Return seconds from any fixed point."""
        return time.monotonic()

    def draw(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Gate:
    """Lets so many requests through to one server at a time, and none while it has asked to be left alone.

    One event loop at a time: in another one it begins anew.

    Attributes:
        waiting: requests let through or waiting to be.
    """

    def __init__(self, limit: int, timer: SystemTimer | None = None) -> None:
        """Open a gate for `limit` requests at a time, >= 1."""
        if limit < 1:
            raise InputError(f"concurrency must be at least 1, not {limit}")
        self.timer = timer if timer is not None else SystemTimer()
        self.waiting = 0
        self._limit = limit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(limit)
        self._closed_until = 0.0

    def pause(self, seconds: float) -> None:
        """Let nothing through for so long."""
        self._closed_until = max(self._closed_until, self.timer.now() + seconds)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None, None]:
        """Wait for a free place and hold it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._slots, self.waiting = loop, asyncio.Semaphore(self._limit), 0
        self.waiting += 1
        try:
            async with self._slots:
                while (left := self._closed_until - self.timer.now()) > 0:
                    await self.timer.sleep(left)
                yield
        finally:
            self.waiting -= 1


def read_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that a server asks to wait: a number, a date, or milliseconds; None where it does not say."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        else:
            text = headers.get("retry-after", "")
            seconds = float(text) if not text[:1].isalpha() else _until(text, now or datetime.now(UTC))
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if seconds < 1e9 else None


def _until(text: str, now: datetime) -> float:
    moment = parsedate_to_datetime(text)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
