"""What users supply and the parts of the library ask of one another: small protocols, no base class, no registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from actorcritic.observation import Observation
from actorcritic.types import (
    Critique,
    GenerateRequest,
    Generation,
    JsonValue,
    Problem,
    Prompt,
    Reference,
    Reward,
    Role,
    Sampling,
    Solution,
    ToolSpec,
)

__all__ = [
    "Actor",
    "ActorFormat",
    "Capabilities",
    "Critic",
    "CriticFormat",
    "Engine",
    "EngineInfo",
    "Environment",
    "EnvironmentInfo",
    "Meter",
    "OpenEnvironment",
    "RemoteEncoder",
    "RepeatableCritic",
    "ResidentActor",
    "RewardModel",
    "SnapshotEnvironment",
    "TakeStep",
    "Verifier",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can do. What it cannot is worked around and said, never assumed."""

    token_ids: bool = False
    """Gives prompt and completion ids, and takes `prefill_ids`."""
    exact_counts: bool = False
    """`encode` counts a prompt exactly before it is sent; without this a token budget is an estimate."""
    seeds: bool = False
    """The same request with the same seed gives the same completion, whatever runs beside it."""
    logprobs: bool = False
    top_logprobs: int = 0
    """The largest number of alternatives it reports per position."""
    prefill: bool = False
    """Goes on from a given beginning of the answer."""
    scores_text: bool = False
    """Gives the log-probabilities of a given text: those of the prefill's tokens where `max_tokens` is 0."""
    chat: bool = False
    """Takes chat messages (has a chat template or a chat endpoint)."""
    json_schema: bool = False
    """Constrains the completion to a JSON schema."""
    tools: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Who is answering."""

    model: str
    """Fingerprint of the model: two engines with the same one share prefixes on the bill."""
    name: str
    """How a person calls it, such as the model spec."""
    capabilities: Capabilities
    max_context: int | None = None
    """Tokens of prompt and completion together; None = unknown."""
    licence: str | None = None
    """SPDX id of the model's licence, for provenance."""
    notes: tuple[str, ...] = ()
    """What its server was found to lack and what was done about it, one line each; grows as that is found out."""


class Engine(Protocol):
    """Where tokens come from."""

    @property
    def info(self) -> EngineInfo:
        """Who is answering and what it can do; cheap and constant."""
        ...

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return the ids of the whole prompt exactly as `generate` would send them, tools and prefill included.

        Engines without `exact_counts` return an estimate of the right order of length.
        """
        ...

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request; many may be in flight. Cancelling the task frees what the request held.

        With `max_tokens=0` nothing is written: the answer's `tokens` are those of the prefill, from the first one that
        the prompt alone does not begin with, each with its log-probability after all that stands before it.

        Raises:
            InputError: a value out of range, or something that the capabilities do not hold.
            EngineError: the request failed; `retryable` says whether the same one may succeed later.
        """
        ...

    async def aclose(self) -> None:
        """Free the model. Idempotent; requests in flight fail with `EngineUnavailable`."""
        ...


@runtime_checkable
class RemoteEncoder(Protocol):
    """An engine whose prompts are counted by a server: asked through this, nobody else is held up meanwhile."""

    async def encode_later(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return what `Engine.encode` does.

        Raises:
            EngineError: the server did not answer.
        """
        ...


TakeStep: TypeAlias = Callable[[Callable[[], None]], Awaitable[Observation]]
"""Takes a step in an environment; calls what it is given for each step that it has to replay before."""


class Meter(Protocol):
    """Through which a role calls an engine: it seeds, admits, bills and keeps every call of one trial."""

    async def generate(self, engine: Engine, request: GenerateRequest, *, role: Role) -> Generation:
        """Make one call within the trial's share of the budget.

        `max_tokens` may be lowered to what is left; a seed is derived where the request has none.

        Raises:
            BudgetExhausted: not even the prompt and one token fit.
            EngineError: as from the engine.
        """
        ...

    def admit_step(self) -> None:
        """Ask for leave to take a step in an environment, before anything is spent on choosing it.

        Raises:
            BudgetExhausted: none is left, or no token with which an action could be written.
        """
        ...

    async def step(self, environment: str, action: str, take: TakeStep) -> Observation:
        """Take one step in an environment within the trial's share of the budget.

        Args:
            environment: The environment's name.
            action: What is done.
            take: Does it; not called where this very step was taken before the run broke off.

        Raises:
            BudgetExhausted: no step is left.
            EnvironmentFault: as from the environment.
        """
        ...


class Actor(Protocol):
    """Who writes solutions. Each call returns a new solution; none sees a gold answer."""

    async def propose(
        self, problem: Problem, *, meter: Meter, sampling: Sampling | None = None, max_steps: int | None = None
    ) -> Solution:
        """Write a solution; with `max_steps`, stop after so many steps (`complete` says whether it ended)."""
        ...

    async def extend(
        self,
        problem: Problem,
        solution: Solution,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
        max_steps: int | None = None,
    ) -> Solution:
        """Go on from a partial solution; its steps are kept."""
        ...

    async def revise(
        self,
        problem: Problem,
        solution: Solution,
        critique: Critique,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
        revise_from: int | None = None,
    ) -> Solution:
        """Keep the steps before `revise_from` (default: the first error) and go on from there with the critique."""
        ...

    async def refine(
        self,
        problem: Problem,
        solution: Solution,
        critique: Critique,
        *,
        meter: Meter,
        sampling: Sampling | None = None,
    ) -> Solution:
        """Write the whole solution again with the critique."""
        ...


@runtime_checkable
class ResidentActor(Actor, Protocol):
    """An actor that holds something for a problem while it is worked on, such as environments."""

    async def leave(self, problem: Problem) -> None:
        """Give up what it holds: nothing more will be asked of this problem. Idempotent."""
        ...


class Critic(Protocol):
    """Who judges solutions."""

    @property
    def oracle(self) -> bool:
        """True where a gold answer or the task's own checker stands behind the judgement."""
        ...

    async def critique(self, problem: Problem, solution: Solution, *, meter: Meter) -> Critique:
        """Judge every step of a whole or partial solution; what cannot be read is unscored."""
        ...


@runtime_checkable
class RepeatableCritic(Critic, Protocol):
    """A critic that may say that it repeats itself; a search then asks it about the same solution only once."""

    @property
    def repeatable(self) -> bool:
        """True where it says the same of the same solution every time, as a greedy model does."""
        ...


class RewardModel(Protocol):
    """Who gives solutions a number: a process or outcome reward model, or a verifier as a scorer of a run."""

    @property
    def oracle(self) -> bool:
        """True where a gold answer or the task's own checker stands behind the number: the run is an oracle run."""
        ...

    async def score(self, problem: Problem, solution: Solution, *, meter: Meter) -> Reward:
        """Score a whole or partial solution, its steps too where it can; what cannot be scored is None, never 0."""
        ...


class Verifier(Protocol):
    """Who knows whether a solution is right. It scores a run afterwards; during a run it makes it an oracle run."""

    async def verify(self, problem: Problem, solution: Solution, reference: Reference) -> bool | None:
        """Return whether the solution is right; None where there is nothing to compare with."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentInfo:
    """What an environment declares of itself."""

    name: str
    """Of the environment with its version and settings: what was done under one name can be replayed under it."""
    side_effects: bool = False
    """True where a step changes something outside (orders, sends, deletes): nothing is replayed unless allowed."""
    oracle: bool = True
    """True where the reward is the task's own checker, which nobody has at test time: a search that goes by it is an
    oracle run. False where whoever acts may see it, such as the score that a game shows."""
    max_steps: int | None = None
    """Steps after which an episode ends at the latest; None = it may never end."""


class Environment(Protocol):
    """A world in which texts act. One instance is one world, used by one trial at a time.

    A search comes back to a state by replay: `reset`, then the same actions, whose observations must be the same as
    before. A world that can do better is a `SnapshotEnvironment`.
    """

    @property
    def info(self) -> EnvironmentInfo:
        """What it declares; cheap and constant."""
        ...

    async def reset(self) -> Observation:
        """Go to the beginning, always the same; the observation's text says the task, too.

        Raises:
            EnvironmentFault: the environment broke down.
        """
        ...

    async def step(self, action: str) -> Observation:
        """Do what an actor wrote. An action that cannot be done is answered in words and raises nothing.

        Never called after an observation that is `done`. Blocking work belongs into a thread.

        Raises:
            EnvironmentFault: the environment broke down.
        """
        ...

    async def aclose(self) -> None:
        """Free what it holds. Idempotent."""
        ...


@runtime_checkable
class SnapshotEnvironment(Environment, Protocol):
    """An environment that comes back to a state without replay."""

    async def snapshot(self) -> object:
        """Return the present state, to be kept in memory; later steps leave it as it is."""
        ...

    async def restore(self, snapshot: object) -> None:
        """Go to a state of which this or another environment, opened for the same problem, gave a snapshot."""
        ...


OpenEnvironment: TypeAlias = Callable[[Problem], Awaitable[Environment]]
"""Opens an environment for a problem, whose `meta` says which; a search opens as many as it has trials in flight."""


class ActorFormat(Protocol):
    """How problems and critiques are put to an actor model, and how its text is read. Pure."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end a whole solution, beside the model's own end token."""
        ...

    @property
    def step_stop(self) -> tuple[str, ...]:
        """Strings that end one step."""
        ...

    def propose(self, problem: Problem) -> Prompt:
        """Ask for a solution."""
        ...

    def extend(self, problem: Problem, solution: Solution) -> Prompt:
        """Ask to go on from the last step of a partial solution; shares the longest prefix with what wrote it."""
        ...

    def revise(self, problem: Problem, solution: Solution, critique: Critique, revise_from: int) -> Prompt:
        """Ask to go on from step `revise_from`, told what the critic said of the rejected steps."""
        ...

    def refine(self, problem: Problem, solution: Solution, critique: Critique) -> Prompt:
        """Ask for a whole new solution, told what the critic said."""
        ...

    def read(self, problem: Problem, kept: Solution | None, generation: Generation) -> Solution:
        """Split a completion into steps after the kept ones, and extract the answer.

        Never raises on what a model wrote: unreadable text is a step with that text and a solution without answer.
        """
        ...


class CriticFormat(Protocol):
    """How solutions are put to a critic model, and how its judgement is read. Pure."""

    @property
    def top_logprobs(self) -> int:
        """How many alternatives per position `read` wants in order to score; 0 = none."""
        ...

    def ask(self, problem: Problem, solution: Solution) -> Prompt:
        """Ask for a critique of every step."""
        ...

    def max_tokens(self, solution: Solution) -> int:
        """How long a critique of this solution may be."""
        ...

    def json_schema(self, solution: Solution) -> Mapping[str, JsonValue] | None:
        """Constrain the critique to this schema where the engine can; None = free text."""
        ...

    def read(self, problem: Problem, solution: Solution, generation: Generation) -> Critique:
        """Read a critique with one entry per step; whatever cannot be read is unscored, never a pass."""
        ...
