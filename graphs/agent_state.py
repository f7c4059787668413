"""The tool agent's state: what goes in and out, what a checkpoint needs in between, and how the agent may work.

Messages are LangChain's, so that the graph composes with any other; the rest is plain JSON. Knows no model and no tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from langgraph.managed import RemainingSteps

from actorcritic.agent_steps import Act, Judgement, Phase
from actorcritic.budget import Budget, Price, Spend
from actorcritic.errors import InputError
from actorcritic.types import Critique, Failure, JsonValue, Sampling, Solution, StopReason, Trial

__all__ = [
    "Candidate",
    "Next",
    "Progress",
    "Seen",
    "ToolAgentInput",
    "ToolAgentOutput",
    "ToolAgentSettings",
    "ToolAgentState",
    "ToolTask",
    "find_seen",
    "gather",
    "thread_of",
]

Next: TypeAlias = Literal["actor", "critic", "tools", "end"]
"""Where the loop goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAgentSettings:
    """How an agent works on one turn of a conversation.

    Raises:
        InputError: a number is out of range.
    """

    budget: Budget = Budget()
    """Per turn: actor and critics on one bill. Seconds are those at work: waiting for a human or a restart is none."""
    max_steps: int = 25
    """Messages of the actor, those that are taken back included, >= 1. In the last one it is told to answer."""
    max_tool_calls: int | None = None
    """Calls of the actor that are carried out, >= 0; None = no limit. Further ones are refused in words."""
    max_revisions: int = 3
    """How often steps may be taken back, >= 0; after that a critic's objection to what was done is a warning."""
    unscored: Literal["go on", "block"] = "go on"
    """What an action meets that a critic was asked about and did not judge: it goes on, recorded as unscored; or it is
    not carried out, and the actor reads why."""
    sampling: Sampling | None = None
    """Of the actor; None = as a LangChain chat model is set, and temperature 1 for an engine."""
    max_tokens: int = 4096
    """Completion tokens of one message of the actor, >= 1."""
    tool_seconds: float | None = 60.0
    """How long one tool call may take, > 0; None = as long as it likes."""
    tool_output: int = 10_000
    """Characters of a tool's result that are kept, >= 100: three quarters from its beginning, the rest from its end."""
    system: str | None = None
    """Stands before a conversation that has no system message of its own."""
    seed: int = 0
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])
    """Per model fingerprint, for a budget of money."""
    tool_prices: Mapping[str, float] = field(default_factory=dict[str, float])
    """What one call of a tool costs, by name; the others cost nothing."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        least = {"max_steps": 1, "max_revisions": 0, "max_tokens": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise InputError(f"{name} must be at least {bound}, not {getattr(self, name)}")
        if self.max_tool_calls is not None and self.max_tool_calls < 0:
            raise InputError(f"max_tool_calls must be at least 0, not {self.max_tool_calls}")


def gather(left: list[JsonValue] | None, right: list[JsonValue] | None) -> list[JsonValue]:
    """Collect the results of tools that run side by side; None empties the list."""
    return [] if right is None else [*(left or ()), *right]


class ToolAgentInput(TypedDict):
    """What goes in."""

    messages: Annotated[list[AnyMessage], add_messages]
    """A conversation whose last message asks."""


class ToolAgentOutput(TypedDict, total=False):
    """What comes out."""

    messages: Annotated[list[AnyMessage], add_messages]
    """The conversation with what the agent did; what was taken back is not in it. The last message is the answer,
    where there is one."""
    answer: str | None
    """None where there is none."""
    result: dict[str, JsonValue]
    """An `AgentRecord`."""


class ToolAgentState(ToolAgentOutput, total=False):
    """All of it, with what a checkpoint needs in between."""

    progress: JsonValue
    observed: Annotated[list[JsonValue], gather]
    remaining_steps: RemainingSteps


class ToolTask(TypedDict):
    """One tool call on its way: plain JSON."""

    problem: str
    trial: JsonValue
    step: int
    place: int
    call: JsonValue
    message: str
    """Id of the message that made the call."""
    seconds: float | None
    """What is left of the turn's time."""
    warnings: list[JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last token sequence that a model has read or written in a role."""

    role: str
    model: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An answer, with the steps that led to it and what critics said."""

    trial: int
    solution: Solution
    critique: Critique


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the loop stands, between two nodes."""

    problem: str
    """Id of the turn: its thread with a hash of the conversation; without a thread it is like no other."""
    content: str = ""
    """The hash alone, from which seeds are made: the same conversation has the same ones."""
    base: int
    """How many messages that conversation has."""
    trial: Trial
    """The attempt at work: the first one, or the one that goes on where steps were taken back."""
    kept: int = 0
    """How many of its steps are its parent's."""
    next: Next = "actor"
    acts: tuple[Act, ...] = ()
    """The steps of the attempt at work that are done."""
    messages: tuple[str, ...] = ()
    """The id of the actor's message of each of them, and of the step at work."""
    act: Act | None = None
    """The step at work."""
    phase: Phase = "action"
    judgements: tuple[Judgement, ...] = ()
    """What critics have said of the step at work in this phase."""
    queue: tuple[int, ...] = ()
    """Which of its calls are to be carried out."""
    cut: bool = False
    """Whether the step at work was cut off at its longest allowed length."""
    last: StopReason | None = None
    """Why this is the last step; None = it is not."""
    steps: int = 0
    """Messages of the actor so far."""
    tool_calls: int = 0
    """Tool calls that were carried out, the critics' included."""
    actor_calls: int = 0
    """Those of the actor alone."""
    revisions: int = 0
    rulings: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many judgements came to each."""
    candidates: tuple[Candidate, ...] = ()
    spend: Spend = Spend()
    cost: Spend = Spend()
    """The attempt at work's part of it."""
    seen: tuple[Seen, ...] = ()
    seconds_left: float | None = None
    failures: tuple[Failure, ...] = ()
    attempts: int = 0
    """Attempts that are settled."""


def thread_of(config: Mapping[str, Any]) -> str | None:
    """Return the thread in which a graph runs, None where there is none."""
    thread = config.get("configurable", {}).get("thread_id")
    return None if thread is None else str(thread)


def find_seen(seen: Sequence[Seen], new: Sequence[Seen]) -> tuple[Seen, ...]:
    """Return the last token sequence of each role and model."""
    return tuple({(one.role, one.model): one for one in (*seen, *new)}.values())
