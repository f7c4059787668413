"""its_hub's methods over our actor and critic: adapters of its language model and its two kinds of reward model.

Its budget is a number of samples, so for a token budget a method is run with more and more samples, and the most whose
whole bill fits counts: the same sample has the same seed each time, so that little is computed anew. Votes compare the
task's vote keys. its_hub draws ties and resampled particles from the process's own generator.
"""

# The libraries are of the extra `peers`, which need not be installed, and come without types.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from its_hub import BestOfN, SelfConsistency
from its_hub.api import AbstractLanguageModel, AbstractOutcomeRewardModel, AbstractProcessRewardModel
from its_hub.core.algorithms.particle_gibbs import ParticleFiltering
from its_hub.core.lms.step_generation import StepGeneration
from its_hub.core.orchestrator import LMOrchestrator

from actorcritic.bench import ReadingRecord
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.tasks.checkers import vote_key
from actorcritic.types import Sampling, Solution
from tests.benchmarks.peers.account import UNSCORED, Account, Work, read

__all__ = ["HubPeer", "hub_peers"]

END = "<end>"
"""What the adapter appends to a last step, since its_hub reads no finish reason."""
MOST_STEPS = 32
"""More than any solution has."""
MOST_SAMPLES = 512


@dataclass(slots=True)
class Sample:
    """What stands behind a text that its_hub passes around."""

    solution: Solution
    meter: CallMeter
    key: str | None = None


@dataclass(slots=True)
class Desk:
    """One run of a method: the account, and every text with what stands behind it. Mutable."""

    account: Account
    samples: dict[str, Sample] = field(default_factory=dict[str, Sample])
    asked: int = 0

    def find(self, text: str) -> Sample:
        """Return what stands behind a text."""
        return self.samples[text.replace(END, "").strip("\n")]

    def keep(self, sample: Sample) -> str:
        """Return the text by which its_hub knows a sample."""
        text = sample.solution.text
        self.samples.setdefault(text, sample)
        return text


class Language(AbstractLanguageModel):  # type: ignore[misc]  # a peer has no types
    """Our actor as its_hub's language model: whole solutions, or the next step of one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def agenerate_single(self, messages: list[Any], stop: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Write a whole solution."""
        account = self._desk.account
        meter = account.meter(self._desk.asked)
        self._desk.asked += 1
        solution = await account.work.actor.propose(account.work.problem, meter=meter)
        account.solutions += 1
        key = await vote_key(account.work.problem, solution) if solution.complete else None
        return _message(self._desk.keep(Sample(solution, meter, key)))

    async def agenerate(
        self, messages: list[Any], stop: str | None = None, *, temperature: Any = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """Write the next step of each of several conversations."""
        temperatures = temperature if isinstance(temperature, list) else [temperature] * len(messages)
        return await asyncio.gather(*map(self._step, messages, temperatures))

    async def _step(self, messages: list[Any], temperature: float | None) -> dict[str, Any]:
        """Write one step after those of the assistant's message."""
        account = self._desk.account
        actor, problem = account.work.actor, account.work.problem
        meter = account.meter("step", self._desk.asked)
        self._desk.asked += 1
        sampling = None if temperature is None else Sampling(temperature=temperature)
        if messages[-1].role == "assistant":
            before = self._desk.find(messages[-1].content).solution
            longer = await actor.extend(problem, before, meter=meter, sampling=sampling, max_steps=1)
        else:
            before = Solution(steps=(), complete=False)
            longer = await actor.propose(problem, meter=meter, sampling=sampling, max_steps=1)
        self._desk.keep(Sample(longer, meter))
        step = "\n".join(one.text for one in longer.steps[len(before.steps) :])
        ended = longer.complete or len(longer.steps) == len(before.steps)
        account.solutions += longer.complete
        return _message(f"{step}{END}" if ended else step)


class Outcome(AbstractOutcomeRewardModel):  # type: ignore[misc]  # a peer has no types
    """Our critic as its_hub's judge of whole answers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def score(self, messages: Any, **kwargs: Any) -> list[float]:
        """Not asked by what runs here."""
        raise NotImplementedError

    async def ascore(self, messages: Any, orchestrator: Any = None, **kwargs: Any) -> list[float]:
        """Score the last message of each conversation."""
        samples = [self._desk.find(conversation[-1].content) for conversation in messages]
        return await asyncio.gather(*(_score(self._desk.account, sample) for sample in samples))


class Process(AbstractProcessRewardModel):  # type: ignore[misc]  # a peer has no types
    """Our critic as its_hub's judge of the steps so far."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def score(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
        """Not asked by what runs here."""
        raise NotImplementedError

    async def ascore(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
        """Score each of several beginnings."""
        account = self._desk.account
        samples = map(self._desk.find, steps)
        return await asyncio.gather(*(account.score(sample.solution, sample.meter) for sample in samples))


async def _score(account: Account, sample: Sample) -> float:
    """Score a whole solution; a text that was cut off is not asked about, as with us."""
    return await account.score(sample.solution, sample.meter) if sample.solution.complete else UNSCORED


def _message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


# --- methods -------------------------------------------------------------------------------------------------------


def _best_of_n(desk: Desk) -> Any:
    return BestOfN(Outcome(desk), orchestrator=LMOrchestrator(max_concurrency=-1))


def _self_consistency(desk: Desk) -> Any:
    def project(text: str) -> str:
        key = desk.find(text).key
        return f"no answer: {text}" if key is None else key

    return SelfConsistency(project, orchestrator=LMOrchestrator(max_concurrency=-1))


def _particle_filtering(desk: Desk) -> Any:
    steps = StepGeneration(
        max_steps=MOST_STEPS, step_token="\n", stop_token=END, temperature=desk.account.work.actor.sampling.temperature
    )
    return ParticleFiltering(steps, Process(desk))


class HubPeer:
    """One of its_hub's algorithms."""

    def __init__(self, label: str, make: Callable[[Desk], Any]) -> None:
        self.label = label
        self._make = make

    async def solve(self, work: Work, budgets: Sequence[int]) -> list[ReadingRecord]:
        """See `Peer.solve`."""
        readings: list[ReadingRecord] = []
        tried: dict[int, ReadingRecord] = {}
        samples = 1
        for budget in sorted(budgets):
            samples = await self._most(work, budget, samples, tried)
            reading = tried[samples]
            if reading.total_tokens > budget:  # not even one sample can be paid for
                reading = await Account(work).reading(budget, None)
            readings.append(read(reading, budget))
        return readings

    async def _most(self, work: Work, budget: int, low: int, tried: dict[int, ReadingRecord]) -> int:
        """Return the most samples found whose bill fits: doubled until it does not, then halved in between."""

        async def fits(samples: int) -> bool:
            if samples not in tried:
                tried[samples] = await self._run(work, samples)
            return tried[samples].total_tokens <= budget

        high = low
        while await fits(high) and high < MOST_SAMPLES:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await fits(middle) else (low, middle)
        return low

    async def _run(self, work: Work, samples: int) -> ReadingRecord:
        """Run the algorithm with so many samples and whatever bill that makes."""
        desk = Desk(Account(work))
        random.seed(derive_seed(work.seed, work.problem.id, self.label, samples))
        answer = await self._make(desk).ainfer(Language(desk), work.problem.text, samples)
        return await desk.account.reading(desk.account.tokens, desk.find(answer["content"]).solution)


def hub_peers() -> dict[str, Callable[[], HubPeer]]:
    """Return its_hub's methods by label, each with its own defaults."""
    return {
        "its_hub:best-of-n": lambda: HubPeer("its_hub:best-of-n", _best_of_n),
        "its_hub:self-consistency": lambda: HubPeer("its_hub:self-consistency", _self_consistency),
        "its_hub:particle-filtering": lambda: HubPeer("its_hub:particle-filtering", _particle_filtering),
    }
