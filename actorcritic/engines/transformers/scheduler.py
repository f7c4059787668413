"""The thread that owns the model: it admits requests, runs one forward pass per token and ends what is finished.

The batch is continuous: a request that arrives joins the next forward pass, its prompt beside the others' newest
tokens, and one that ends leaves at once. Knows token ids only; text reaches it as a rule for stop strings.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from actorcritic.engines.memory import RUNNING, describe_failure
from actorcritic.engines.transformers.attention import Segment
from actorcritic.engines.transformers.model import ModelRunner
from actorcritic.engines.transformers.prefix_cache import PrefixCache
from actorcritic.engines.transformers.sampling import Draw, SamplingRows, draw_tokens
from actorcritic.engines.transformers.text import StopRule, Text
from actorcritic.errors import EngineError, EngineUnavailable
from actorcritic.types import FinishReason, Sampling

__all__ = ["Row", "Scheduler"]

READ_TOKENS = 512
"""Prompt tokens read in one forward pass at most, so that a long prompt does not hold up the others for long."""
SHARED = 16
"""A request waits where another is just reading its next so many tokens: then it takes them from the cache."""


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """One request in the batch. Mutable; the scheduler's until `deliver`, but for `cancelled`."""

    prompt: tuple[int, ...]
    limit: int
    """At most this many tokens, >= 1; 0 where the prompt is only scored."""
    sampling: Sampling
    key: int
    """Where its random numbers start."""
    stop: StopRule | None
    top_logprobs: int
    deliver: Callable[[Row], None]
    """Called once from the scheduler's thread, unless cancelled."""
    scored: int = 0
    """How many of the prompt's last tokens want their own log-probabilities, which then are `logprobs`."""
    cancelled: bool = False
    ids: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    tops: list[dict[int, float]] = field(default_factory=list[dict[int, float]])
    known: int = 0
    """Leading tokens whose keys and values are in the buffer."""
    cached: int = 0
    """How many of them came from the prefix cache."""
    claim: tuple[int, tuple[int, ...]] | None = None
    """The tokens that it is the first to read."""
    finish: FinishReason | None = None
    length: int | None = None
    """Characters of the completion up to the end of its stop string; None = all."""
    error: EngineError | None = None


class Scheduler:
    """Decodes a continuous batch in a thread of its own."""

    def __init__(
        self,
        runner: ModelRunner,
        cache: PrefixCache,
        text: Text,
        *,
        end_ids: frozenset[int],
        max_batch: int,
    ) -> None:
        self._runner = runner
        self._cache = cache
        self._text = text
        self._end_ids = end_ids
        self._max_batch = max_batch
        self._arrived: deque[Row] = deque()
        self._waiting: deque[Row] = deque()
        self._rows: list[Row] = []
        self._ready = 0
        self._sampling: SamplingRows | None = None
        self._closing = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="actorcritic-decode", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """How many requests hold a slot now."""
        return len(self._rows)

    def submit(self, row: Row) -> None:
        """Hand in a request.

        Raises:
            EngineUnavailable: the engine is closed.
        """
        with self._wake:
            if self._closing:
                raise EngineUnavailable("the engine is closed")
            self._arrived.append(row)
            self._wake.notify()

    def close(self) -> None:
        """Fail what runs and what waits, and end the thread. Blocks for up to one forward pass."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        with torch.inference_mode():
            while self._sleep():
                try:
                    self._turn()
                except Exception as error:  # noqa: BLE001 - whatever it is, the waiting requests must hear of it
                    self._fail(EngineError(f"the model failed: {describe_failure(error, RUNNING)}"))
        self._fail(EngineUnavailable("the engine was closed"))

    def _sleep(self) -> bool:
        """Wait for something to do; False when closing."""
        with self._wake:
            while not (self._closing or self._arrived or self._waiting or self._rows):
                self._wake.wait()
            self._waiting.extend(self._arrived)
            self._arrived.clear()
            return not self._closing

    def _turn(self) -> None:
        """Run one forward pass with what is there."""
        if any(row.cancelled for row in self._rows):
            self._leave([slot for slot, row in enumerate(self._rows) if row.cancelled])
        self._admit()
        if not self._rows:
            return
        decoding = self._rows[: self._ready]
        segments, read = self._segments()
        wanted = self._ready + read
        newest, positions = [row.ids[-1] for row in decoding], [row.known for row in decoding]
        places, following = self._scored(segments)
        logits = self._runner.step(newest, positions, segments, wanted, places)
        self._score(logits[len(logits) - len(places) :], following)
        for row in decoding:
            row.known += 1
        for segment in segments:
            self._rows[segment.slot].known += len(segment.tokens)
        for slot in range(self._ready, wanted):
            self._rows[slot].claim = None
            self._keep(slot)
        if read:
            self._ready, self._sampling = wanted, None
        if wanted:
            self._commit(self._draw(logits[:wanted]))

    def _segments(self) -> tuple[list[Segment], int]:
        """Choose the prompt tokens to read now, and say how many rows have then read all of theirs."""
        segments, left, read = list[Segment](), READ_TOKENS, 0
        for slot in range(self._ready, len(self._rows)):
            row = self._rows[slot]
            tokens = row.prompt[row.known : row.known + left]
            segments.append(Segment(slot=slot, start=row.known, tokens=tokens))
            left -= len(tokens)
            read += row.known + len(tokens) == len(row.prompt)
            if not left:
                break
        return segments, read

    def _scored(self, segments: list[Segment]) -> tuple[list[int], list[tuple[Row, int]]]:
        """Return after which tokens of this pass one comes that is to be scored, and which, and in whose prompt."""
        places, following = list[int](), list[tuple[Row, int]]()
        first = self._ready
        for segment in segments:
            row = self._rows[segment.slot]
            begin = max(segment.start, len(row.prompt) - row.scored - 1)
            end = min(segment.start + len(segment.tokens), len(row.prompt) - 1)
            if row.scored:
                places += [first + place - segment.start for place in range(begin, end)]
                following += [(row, row.prompt[place + 1]) for place in range(begin, end)]
            first += len(segment.tokens)
        return places, following

    def _score(self, logits: torch.Tensor, following: list[tuple[Row, int]]) -> None:
        """Note how likely the tokens were that follow in the prompts."""
        if not following:
            return
        chosen = torch.tensor([token for _, token in following], device=logits.device)[:, None]
        found = logits.log_softmax(-1).gather(1, chosen)[:, 0].clamp(max=0.0)
        for (row, _), logprob in zip(following, found.tolist(), strict=True):
            row.logprobs.append(logprob)

    def _draw(self, logits: torch.Tensor) -> Draw:
        rows = self._rows[: self._ready]
        if self._sampling is None:
            self._sampling = SamplingRows.of(
                [row.sampling for row in rows],
                [row.key for row in rows],
                max(row.top_logprobs for row in rows),
                logits.device,
            )
        return draw_tokens(logits, self._sampling, [len(row.ids) for row in rows])

    def _commit(self, draw: Draw) -> None:
        """Append the drawn tokens and end the rows that they finish."""
        finished: list[int] = []
        for slot, (row, token, logprob) in enumerate(zip(self._rows, draw.tokens, draw.logprobs, strict=False)):
            if not row.limit:
                row.finish = FinishReason.LENGTH
                finished.append(slot)
                continue
            row.ids.append(token)
            row.logprobs.append(logprob)
            if row.top_logprobs and draw.top_ids is not None and draw.top_logprobs is not None:
                top = zip(draw.top_ids[slot], draw.top_logprobs[slot], strict=True)
                row.tops.append(dict(list(top)[: row.top_logprobs]))
            if (
                token in self._end_ids
                or len(row.ids) >= row.limit
                or (row.stop is not None and row.stop.may_end(token))
            ) and self._finish(row, token):
                finished.append(slot)
        if finished:
            for slot in finished:
                self._keep(slot)
            self._leave(finished)

    def _finish(self, row: Row, token: int) -> bool:
        """Say whether this token ends the row, and why."""
        if token in self._end_ids:
            row.finish = FinishReason.STOP
            return True
        if row.stop is not None and row.stop.may_end(token):
            row.length = row.stop.end(self._text.completion(row.prompt, row.ids))
        if row.length is not None:
            row.finish = FinishReason.STOP
        elif len(row.ids) >= row.limit:
            row.finish = FinishReason.LENGTH
        return row.finish is not None

    def _admit(self) -> None:
        """Give slots to waiting requests, in order, but for those whose prefix is just being read."""
        claims = {row.claim for row in self._rows[self._ready :]}
        later: list[Row] = []
        while self._waiting and len(self._rows) < self._max_batch:
            row = self._waiting.popleft()
            if row.cancelled:
                continue
            if not self._fits(row):
                later.append(row)
                break
            # The last prompt token is always read, since what follows it is asked for, and so is what is scored.
            blocks = self._cache.match(row.prompt[: len(row.prompt) - 1 - row.scored])
            hit = sum(block.shape[2] for block in blocks)
            shared = row.prompt[hit : hit + SHARED]
            row.claim = (hit, shared) if len(shared) == SHARED and self._cache.limit_bytes else None
            if row.claim is not None and row.claim in claims:
                later.append(row)
                continue
            claims.add(row.claim)
            self._enter(row, blocks)
        self._waiting.extendleft(reversed(later))

    def _fits(self, row: Row) -> bool:
        """Say whether there is memory for one more row, were every row to use all its tokens."""
        longest = max(len(one.prompt) + one.limit for one in (*self._rows, row))
        buffer = self._runner.buffer
        return not self._rows or (len(self._rows) + 1) * longest * buffer.token_bytes <= buffer.limit_bytes

    def _enter(self, row: Row, blocks: list[torch.Tensor]) -> None:
        slot = len(self._rows)
        used = max((one.known for one in self._rows), default=0)
        self._runner.buffer.reserve(slot + 1, len(row.prompt) + 1, used=used)
        for block in blocks:
            self._runner.buffer.load(slot, row.known, block)
            row.known += block.shape[2]
        row.cached = row.known
        self._rows.append(row)

    def _keep(self, slot: int) -> None:
        """Remember what a row has computed for whoever begins alike."""
        row = self._rows[slot]
        ids = (*row.prompt, *row.ids)[: row.known]
        self._cache.insert(ids, lambda start, stop: self._runner.buffer.save(slot, start, stop))

    def _leave(self, slots: list[int]) -> None:
        """Take rows out of the batch and close the gaps: decoding rows stay in the first slots."""
        for slot in reversed(slots):
            row = self._rows[slot]
            if slot < self._ready:
                self._ready -= 1
                self._move(self._ready, slot)
                slot = self._ready
            self._move(len(self._rows) - 1, slot)
            self._rows.pop()
            if not row.cancelled:
                row.deliver(row)
        self._sampling = None

    def _move(self, source: int, target: int) -> None:
        if source != target:
            self._runner.buffer.move(source, target, self._rows[source].known)
            self._rows[target] = self._rows[source]

    def _fail(self, error: EngineError) -> None:
        """End every request with an error."""
        with self._wake:
            rows = [*self._rows, *self._waiting, *self._arrived]
            self._waiting.clear()
            self._arrived.clear()
        self._rows, self._ready, self._sampling = [], 0, None
        for row in rows:
            row.error = error
            if not row.cancelled:
                row.deliver(row)
