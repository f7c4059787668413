"""The tool agent's nodes: begin a turn, let the actor act, let critics judge, carry out calls, take in their results.

Each node opens the turn from the state and puts it back. Which node comes next stands in the state's `progress`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import dropwhile
from typing import Any, cast

from langchain_core.messages import AnyMessage, RemoveMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END
from langgraph.types import Send

from actorcritic.agent_steps import Act, AgentStep, Judgement, Ruling, StepCritic, ToolResult, distinct_calls
from actorcritic.codec import decode, encode
from actorcritic.engines.langchain import LangChainEngine
from actorcritic.errors import BudgetExhausted, RecordError
from actorcritic.formats.agent import render_objection, render_result, render_revision, render_warnings
from actorcritic.graphs.agent_deciding import checked_judgement, objections, plan_calls, with_wrong_step, wrong_step
from actorcritic.graphs.agent_desk import AgentDesk, noting_interruption
from actorcritic.graphs.agent_invoking import tool_invoker
from actorcritic.graphs.agent_messages import (
    actor_message,
    conversation,
    note,
    prompt_messages,
    tool_message,
)
from actorcritic.graphs.agent_state import (
    Candidate,
    Progress,
    ToolAgentState,
    ToolTask,
)
from actorcritic.graphs.agent_work import AgentWork, attempt_of
from actorcritic.graphs.journals import StreamJournal
from actorcritic.metering import CallMeter
from actorcritic.scores import read_score
from actorcritic.templates import load_template, quote
from actorcritic.types import (
    Action,
    Failure,
    FinishReason,
    GenerateRequest,
    Generation,
    Message,
    Prompt,
    Sampling,
    StopReason,
    ToolCall,
    Trial,
)

__all__ = ["AgentLoop"]


class AgentLoop:
    """The nodes, over one desk."""

    def __init__(self, desk: AgentDesk) -> None:
        self.desk = desk
        self._invoker = tool_invoker(list(desk.box.tools.values()))

    async def begin(self, state: ToolAgentState, config: RunnableConfig) -> ToolAgentState:
        """Begin a turn: what stands in the conversation now is the problem."""
        return self.desk.begin(state, config)

    # --- the actor -------------------------------------------------------------------------------------------------

    async def actor(self, state: ToolAgentState) -> ToolAgentState:
        """Let the actor write its next message, or end the turn where there is no room for one."""
        work = self.desk.open(state)
        work.asked()
        reason = work.limit() or self._no_room(work, state)
        if reason is not None:
            return self.desk.end(work, state, reason)
        last = self._last(work, state)
        with noting_interruption(work):
            said = await self._ask(work, state, last)
        if not isinstance(said, Generation):
            return self.desk.end(work, state, said)
        return self._take(work, state, said, last)

    def _no_room(self, work: AgentWork, state: ToolAgentState) -> StopReason | None:
        """Return why not even an answer has room."""
        if work.progress.steps >= self.desk.settings.max_steps:
            return "steps"
        return "exhausted" if state["remaining_steps"] < 1 + len(self.desk.critics) else None

    def _last(self, work: AgentWork, state: ToolAgentState) -> StopReason | None:
        """Return why the next step is the last one: no more may follow, or no call could be carried out and judged."""
        if work.progress.steps + 1 >= self.desk.settings.max_steps:
            return "steps"
        return "exhausted" if state["remaining_steps"] < 4 + 2 * len(self.desk.critics) else None

    async def _ask(self, work: AgentWork, state: ToolAgentState, last: StopReason | None) -> Generation | StopReason:
        """Ask the actor's model; a failure ends the turn and stands in the result."""
        sent = prompt_messages(conversation(state["messages"], self.desk.settings.system))
        if last is not None:
            sent = (*sent, Message(role="user", content=load_template("agent_last_step").text))
        request = GenerateRequest(
            prompt=Prompt(content=sent),
            max_tokens=self.desk.settings.max_tokens,
            sampling=self.desk.settings.sampling if self.desk.settings.sampling is not None else Sampling(),
            logprobs=self.desk.engine.info.capabilities.logprobs and not isinstance(self.desk.engine, LangChainEngine),
            tools=self.desk.specs,
        )

        async def call(meter: CallMeter) -> Generation:
            return await meter.generate(self.desk.engine, request, role="actor")

        try:
            return await work.within("actor", "actor", call)
        except BudgetExhausted as error:
            return error.limit
        except RecordError:
            raise  # what cannot be logged must not go on as if it had been
        except Exception as error:  # noqa: BLE001 - whatever a model fails of is recorded, and the best so far stands
            work.failed(Failure(where="actor", type=type(error).__name__, message=str(error)))
            return "failed"

    def _take(
        self, work: AgentWork, state: ToolAgentState, said: Generation, last: StopReason | None
    ) -> ToolAgentState:
        """Take in what the actor wrote."""
        if said.finish_reason is FinishReason.FILTERED:
            work.failed(Failure(where="actor", type="Filtered", message="the message was withheld by its provider"))
            return self.desk.end(work, state, "failed")
        calls = distinct_calls(said.tool_calls)
        progress = work.progress
        known = {message.id for message in state["messages"]}
        own = f"{progress.problem}-{progress.trial.id}-{progress.steps}"
        ident = said.native.get("id")
        ident = ident if isinstance(ident, str) and ident not in known else own
        message = actor_message(said, calls, ident, self.desk.engine.info.model)
        work.update(
            steps=progress.steps + 1,
            act=Act(text=said.text, calls=calls),
            messages=(*progress.messages, ident),
            phase="action",
            judgements=(),
            queue=(),
            last=last,
            cut=said.finish_reason is FinishReason.LENGTH,
        )
        cut = work.progress.cut
        if not calls and (cut or not said.text.strip()):
            return self._no_answer(work, state, [message], "agent_cut_off" if cut else "agent_empty")
        return self._proceed(work, state, [message])

    def _no_answer(
        self, work: AgentWork, state: ToolAgentState, new: list[AnyMessage], template: str
    ) -> ToolAgentState:
        """Go on after a message that neither calls a tool nor answers: a truncated one is no answer."""
        self._fold(work)
        if work.progress.last is not None:
            return self.desk.end(work, state, work.progress.last, new)
        new.append(note(load_template(template).text, f"{work.progress.messages[-1]}-note"))
        return self.desk.saved(work, new)

    # --- critics ---------------------------------------------------------------------------------------------------

    async def critic(self, state: ToolAgentState) -> ToolAgentState:
        """Let the next critic judge the step at work."""
        work = self.desk.open(state)
        place = len(work.progress.judgements)
        critic = self.desk.wanted(work)[place]
        step = self.desk.step(work)
        known = work.log.judgement(work.progress.trial, step, critic.name)
        with noting_interruption(work):
            judgement = await self._judge(work, critic, step, f"critic {place} {step.phase}", known)
        if known is None:
            work.judged(step, judgement)
        work.note_judgement(judgement)
        return self._proceed(work, state, [])

    async def _judge(
        self, work: AgentWork, critic: StepCritic, step: AgentStep, purpose: str, known: Judgement | None
    ) -> Judgement:
        """Return a critic's judgement; one that is known is charged and not made again."""

        async def call(meter: CallMeter) -> Judgement:
            if known is None:
                return await critic.judge(step, meter=meter)
            meter.take_over()
            return known

        try:
            judgement = await work.within("critic", purpose, call)
            judgement = replace(judgement, score=read_score(judgement.score, f"{critic.name} gave"))
        except GraphBubbleUp:
            raise  # a human is asked
        except BudgetExhausted as error:
            judgement = Judgement.unscored(str(error))
        except RecordError:
            raise  # what cannot be logged must not go on as if it had been
        except Exception as error:  # noqa: BLE001 - whatever a critic fails of is recorded; the step is unscored
            failure = Failure(where="critic", type=type(error).__name__, message=str(error))
            judgement = replace(Judgement.unscored(str(error)), failure=failure)
        return checked_judgement(judgement, step, critic.name)

    def _proceed(self, work: AgentWork, state: ToolAgentState, new: list[AnyMessage]) -> ToolAgentState:
        """Ask the next critic, or decide where all have spoken or one blocks."""
        judgements = work.progress.judgements
        blocked = bool(judgements) and judgements[-1].ruling is Ruling.BLOCK
        if not blocked and len(judgements) < len(self.desk.wanted(work)):
            work.update(next="critic")
            return self.desk.saved(work, new)
        if work.progress.phase == "observation":
            return self._after_results(work, state)
        if self.desk.step(work).is_answer:
            return self._after_answer(work, state, new)
        return self._carry_out(work, state, new)

    def _after_answer(self, work: AgentWork, state: ToolAgentState, new: list[AnyMessage]) -> ToolAgentState:
        """Give the answer, or go on where critics object to it."""
        progress = work.progress
        assert progress.act is not None  # see `AgentDesk.step`
        blocks = objections(progress.judgements, unscored_blocks=self.desk.settings.unscored == "block")
        work.update(act=replace(progress.act, judgements=progress.judgements))
        solution, critique = attempt_of(work.progress)
        candidate = Candidate(trial=progress.trial.id, solution=solution, critique=critique)
        work.update(candidates=(*progress.candidates, candidate))
        if not blocks:
            return self.desk.end(work, state, "completed", new)
        if progress.last is not None:
            return self.desk.end(work, state, progress.last, new)
        self._fold(work)
        said = load_template("agent_answer_blocked").fill(critique=quote(render_objection(blocks), "critique"))
        return self.desk.saved(work, [*new, note(said, f"{progress.messages[-1]}-note")])

    # --- tools -----------------------------------------------------------------------------------------------------

    def _carry_out(self, work: AgentWork, state: ToolAgentState, new: list[AnyMessage]) -> ToolAgentState:
        """Send out the calls that may be carried out; the others have their results at once."""
        progress, settings = work.progress, self.desk.settings
        assert progress.act is not None  # see `AgentDesk.step`
        act = replace(progress.act, judgements=progress.judgements)
        most = settings.max_tool_calls
        room = 0 if progress.last is not None else None if most is None else max(0, most - progress.actor_calls)
        blocks = objections(progress.judgements, unscored_blocks=settings.unscored == "block")
        plan = plan_calls(act, blocks, self.desk.refusals(progress), room=room)
        for result in plan.results:
            work.tool_called(result, len(progress.acts))
            place = act.calls.index(result.call)
            text = render_result(result, self.desk.box.specs)
            new.append(tool_message(result, text, f"{progress.messages[-1]}-{place}"))
        work.update(act=replace(act, results=plan.results), queue=plan.queue)
        if plan.queue:
            work.update(next="tools")
            return self.desk.saved(work, new)
        self._fold(work)
        if progress.last is not None:
            return self.desk.end(work, state, progress.last, new)
        return self.desk.saved(work, new)

    def tasks(self, work: Progress) -> list[Send]:
        """Return one task per call that is to be carried out."""
        assert work.act is not None  # the route leads here with calls only
        warnings = [encode(one) for one in work.judgements if one.ruling is Ruling.WARN]
        return [
            Send(
                "tool",
                ToolTask(
                    problem=work.problem,
                    trial=encode(work.trial),
                    step=len(work.acts),
                    place=place,
                    call=encode(work.act.calls[place]),
                    message=work.messages[-1],
                    seconds=work.seconds_left,
                    warnings=warnings,
                ),
            )
            for place in work.queue
        ]

    async def tool(self, state: ToolTask, config: RunnableConfig) -> ToolAgentState:
        """Carry out one call, unless the log says what came of it; a failure is its result."""
        trial, call = decode(Trial, state["trial"]), decode(ToolCall, state["call"])
        log = self.desk.log.again(state["problem"], self.desk.config)
        result, artifact = log.tool_result(trial, state["step"], call), None
        if result is None:
            try:
                result, artifact = await self.desk.box.run(call, invoke=self._invoker(config), seconds=state["seconds"])
            except asyncio.CancelledError:
                log.interrupted("cancelled")
                raise
            log.tool_called(trial, state["step"], result)
            StreamJournal(get_stream_writer(), state["problem"]).tool_called(trial, state["step"], result)
        warnings = [decode(Judgement, one) for one in state["warnings"]]
        text = render_result(result, self.desk.box.specs, warnings)
        message = tool_message(result, text, f"{state['message']}-{state['place']}", artifact)
        return {"messages": [message], "observed": [encode(result)]}

    async def observe(self, state: ToolAgentState) -> ToolAgentState:
        """Take in the results of a step."""
        work = self.desk.open(state)
        act = work.progress.act
        assert act is not None  # see `AgentDesk.step`
        done = [decode(ToolResult, one) for one in state["observed"]]
        by_call = {result.call.id: result for result in (*act.results, *done)}
        work.pay_tools(done, "actor")
        work.pass_time(max((result.seconds for result in done), default=0.0))
        results = tuple(by_call[call.id] for call in act.calls)
        work.update(act=replace(act, results=results), phase="observation", judgements=(), queue=())
        saved = self._proceed(work, state, [])
        saved["observed"] = cast("Any", None)
        return saved

    def _after_results(self, work: AgentWork, state: ToolAgentState) -> ToolAgentState:
        """Go on, or take back from the step that critics say went wrong."""
        progress = work.progress
        assert progress.act is not None  # see `AgentDesk.step`
        judged = with_wrong_step(progress.judgements, len(progress.acts))
        work.update(act=replace(progress.act, judgements=(*progress.act.judgements, *judged)))
        wrong = wrong_step(judged)
        self._fold(work)
        if wrong is not None and progress.revisions < self.desk.settings.max_revisions:
            return self._revise(work, state, wrong, judged)
        remarks = [one for one in judged if one.ruling in (Ruling.WARN, Ruling.BLOCK) and one.explanation]
        last = state["messages"][-1]
        if not remarks or not isinstance(last, ToolMessage):
            return self.desk.saved(work)
        # The same id, so that it takes the message's place.
        return self.desk.saved(work, [last.model_copy(update={"content": render_warnings(last.text, remarks)})])

    def _revise(
        self, work: AgentWork, state: ToolAgentState, wrong: int, judged: Sequence[Judgement]
    ) -> ToolAgentState:
        """Take steps out of the conversation, tell the actor why, and begin the attempt that goes on from there."""
        solution, _ = work.settle()
        progress = work.progress
        taken_back, kept = progress.acts[wrong:], progress.acts[:wrong]
        kept_steps = len(solution.steps) - sum(bool(act.calls) and not act.is_blocked for act in taken_back)
        after = dropwhile(lambda one: one.id != progress.messages[wrong], state["messages"])
        removed: list[AnyMessage] = [cast("AnyMessage", RemoveMessage(id=str(one.id))) for one in after]
        said = render_revision(taken_back, [one for one in judged if one.ruling is Ruling.BLOCK])
        trial = Trial(
            id=progress.trial.id + 1,
            action=Action.REVISE,
            parent=progress.trial.id,
            options={"revise_from": kept_steps},
        )
        work.update(
            acts=kept,
            messages=progress.messages[:wrong],
            trial=trial,
            kept=wrong,
            revisions=progress.revisions + 1,
        )
        return self.desk.saved(work, [*removed, note(said, f"{progress.problem}-{trial.id}-note")])

    def _fold(self, work: AgentWork) -> None:
        """Put the step at work among those that are done; the actor is next."""
        assert work.progress.act is not None  # see `AgentDesk.step`
        work.update(acts=(*work.progress.acts, work.progress.act), act=None, next="actor", judgements=(), queue=())

    # --- routing ---------------------------------------------------------------------------------------------------

    async def route(self, state: ToolAgentState) -> str | list[Send]:
        """Return where the loop goes on."""
        saved = state.get("progress")
        if saved is None:
            return END
        to = cast("dict[str, str]", saved)["next"]
        return self.tasks(decode(Progress, saved)) if to == "tools" else to
