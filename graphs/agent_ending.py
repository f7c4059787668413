"""How an agent's turn ends: the best answer so far, what it took, and a conversation whose last message it is."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage

from actorcritic.graphs.agent_state import Candidate, ToolAgentState
from actorcritic.graphs.agent_work import AgentWork, best_of
from actorcritic.graphs.results import RunFacts, record_of
from actorcritic.graphs.session import ProblemResult
from actorcritic.graphs.trial import Attempt
from actorcritic.records import ResultRecord
from actorcritic.types import StopReason, Verdict

__all__ = ["AgentRecord", "conclude"]


class AgentRecord(ResultRecord):
    """What came of an agent's turn: a `ResultRecord` with the counts of an agent."""

    steps: int
    """Messages of the actor, those that were taken back included."""
    tool_calls: int
    """Tool calls that were carried out, the critics' included."""
    revisions: int
    """How often steps were taken back."""
    rulings: dict[str, int]
    """How many judgements came to `pass`, `warn`, `block` and `unscored`."""


def conclude(work: AgentWork, messages: Sequence[AnyMessage], reason: StopReason, facts: RunFacts) -> ToolAgentState:
    """End a turn: settle the attempt at work, tell log and stream, return what the graph hands out.

    Args:
        work: The turn.
        messages: All of the conversation.
        reason: Why it ends; an answer that the critics let pass makes `completed` to `accepted`.
        facts: What every result says of the run.
    """
    solution, critique = work.settle()
    progress = work.progress
    best = best_of(progress.candidates)
    if reason == "completed" and best is not None and best.critique.verdict is Verdict.CORRECT:
        reason = "accepted"
    shown = best if best is not None else Candidate(trial=progress.trial.id, solution=solution, critique=critique)
    attempt = Attempt(solution=shown.solution, critique=shown.critique if progress.rulings else None)
    result = ProblemResult(
        problem=work.problem,
        best=None if best is None else best.trial,
        attempt=attempt if shown.solution.steps else None,
        attempts=progress.attempts,
        spend=progress.spend,
        stopped_by=reason,
        failures=progress.failures,
    )
    work.finished(result)
    record = AgentRecord(
        **record_of(result, facts).model_dump(),
        steps=progress.steps,
        tool_calls=progress.tool_calls,
        revisions=progress.revisions,
        rulings=dict(progress.rulings),
    )
    ended: ToolAgentState = {
        "answer": result.answer,
        "result": record.model_dump(mode="json"),
        "progress": None,
    }
    last = messages[-1] if messages else None
    if result.answer is not None and not (isinstance(last, AIMessage) and last.text == result.answer):
        # What follows the best answer is a critic's objection or a worse answer; an app reads the last message.
        ended["messages"] = [AIMessage(result.answer, id=f"{progress.problem}-answer")]
    return ended
