"""What the tool agent's nodes share: who plays and how, and the way from the state to a turn at work and back."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import uuid4

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer

from actorcritic.agent_steps import AgentStep, StepCritic, ToolResult
from actorcritic.codec import decode, encode
from actorcritic.engines.langchain import LangChainEngine
from actorcritic.errors import InputError
from actorcritic.graphs.agent_ending import conclude
from actorcritic.graphs.agent_messages import problem_of_messages
from actorcritic.graphs.agent_state import Progress, ToolAgentSettings, ToolAgentState, thread_of
from actorcritic.graphs.agent_work import AgentWork
from actorcritic.graphs.journals import StreamJournal
from actorcritic.graphs.results import RunFacts
from actorcritic.protocols import Engine
from actorcritic.tools.running import ToolBox
from actorcritic.trajectory.agent_log import AgentLog
from actorcritic.types import Action, JsonValue, Message, StopReason, ToolSpec, Trial

__all__ = ["AgentDesk", "noting_interruption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDesk:
    """Who plays and how."""

    engine: Engine
    box: ToolBox
    critics: tuple[StepCritic, ...]
    settings: ToolAgentSettings
    log: AgentLog
    facts: RunFacts
    config: dict[str, JsonValue]
    """What the log says where a turn begins."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The actor's tools as models see them."""
        return tuple(self.box.specs.values())

    def begin(self, state: ToolAgentState, config: RunnableConfig) -> ToolAgentState:
        """Begin a turn: what stands in the conversation now is the problem."""
        messages = state["messages"]
        problem = problem_of_messages(messages, system=self.settings.system, specs=self.specs)
        self._refuse_images(problem.prompt)
        thread = thread_of(cast("Any", config))
        progress = Progress(
            # Without a thread nobody can say that two turns are one: they share nothing, whatever they ask.
            problem=uuid4().hex if thread is None else f"{thread}-{problem.id}",
            content=problem.id,
            base=len(messages),
            trial=Trial(id=0, action=Action.PROPOSE),
            seconds_left=self.settings.budget.seconds,
        )
        began: ToolAgentState = {
            "progress": encode(progress),
            "observed": cast("Any", None),
            "answer": None,
            "result": {},
        }
        if state["remaining_steps"] > 1:
            return began
        work = self.open({**state, **began})
        work.asked()
        return {**began, **self.end(work, state, "exhausted")}

    def _refuse_images(self, prompt: object) -> None:
        sent = cast("Sequence[Message]", prompt)
        if not isinstance(self.engine, LangChainEngine) and any(
            message.role == "user" and "content" in message.native for message in sent
        ):
            raise InputError(f"{self.engine.info.name} reads text alone: give a LangChain chat model for other content")

    def open(self, state: ToolAgentState) -> AgentWork:
        """Return the turn at work."""
        progress = decode(Progress, state["progress"])
        asked = state["messages"][: progress.base]
        problem = problem_of_messages(asked, system=self.settings.system, specs=self.specs)
        problem = replace(problem, id=progress.problem)
        return AgentWork(
            problem=problem,
            progress=progress,
            settings=self.settings,
            log=self.log.problem(problem, self.config),
            stream=StreamJournal(get_stream_writer(), problem.id),
        )

    def saved(self, work: AgentWork, messages: Sequence[AnyMessage] = ()) -> ToolAgentState:
        """Return the state's part of where the loop stands."""
        saved: ToolAgentState = {"progress": encode(work.progress)}
        if messages:
            saved["messages"] = list(messages)
        return saved

    def end(
        self, work: AgentWork, state: ToolAgentState, reason: StopReason, new: Sequence[AnyMessage] = ()
    ) -> ToolAgentState:
        """Return what the graph hands out."""
        ended = conclude(work, [*state["messages"], *new], reason, self.facts)
        self.log.leave(work.progress.problem)
        if new or "messages" in ended:
            ended["messages"] = [*new, *ended.get("messages", [])]
        return ended

    def step(self, work: AgentWork) -> AgentStep:
        """Return the step at work as critics see it."""
        progress = work.progress
        assert progress.act is not None  # there is a step at work wherever it is asked for
        return AgentStep(
            problem=work.problem,
            index=len(progress.acts),
            phase=progress.phase,
            act=progress.act,
            before=progress.acts,
            tools=self.specs,
        )

    def refusals(self, progress: Progress) -> list[ToolResult | None]:
        """Return, per call of the step at work, why it cannot be carried out; None where it can.

        Of a message that was cut off the last call is none: a parser may have made whole arguments of half ones.
        """
        calls = () if progress.act is None else progress.act.calls
        refused = [self.box.refuse(call) for call in calls]
        if progress.cut and calls:
            why = "the message was cut off at its longest allowed length before they were complete"
            refused[-1] = ToolResult(call=calls[-1], text=why, status="refused", error="BadArguments", length=len(why))
        return refused

    def wanted(self, work: AgentWork) -> list[StepCritic]:
        """Return the critics whose business the step at work is; none where no call of it will be carried out."""
        step = self.step(work)
        if step.calls and work.progress.phase == "action":
            if work.progress.last is not None or all(self.refusals(work.progress)):
                return []
        return [critic for critic in self.critics if critic.wants(step)]


@contextmanager
def noting_interruption(work: AgentWork) -> Generator[None]:
    """Tell the log where the work is cancelled."""
    try:
        yield
    except asyncio.CancelledError:
        work.log.interrupted("cancelled")
        raise
