"""What follows from what critics said of a step: which calls are carried out, what the actor reads, what is taken back.

Pure: knows no model, no log and no LangGraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from actorcritic.agent_steps import Act, AgentStep, Judgement, Ruling, ToolResult
from actorcritic.formats.agent import render_objection

__all__ = ["Plan", "blocked_calls", "checked_judgement", "objections", "plan_calls", "with_wrong_step", "wrong_step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of the calls of a step."""

    queue: tuple[int, ...]
    """Places of those that are carried out."""
    results: tuple[ToolResult, ...]
    """Of the others."""


def checked_judgement(judgement: Judgement, step: AgentStep, by: str) -> Judgement:
    """Return a critic's judgement with its author; unscored where it names a call or a step that is not there."""
    judgement = judgement if judgement.by else replace(judgement, by=by)
    if any(not 0 <= call < len(step.calls) for call in judgement.calls):
        wrong = "it names a call that is not there"
    elif judgement.step is not None and not 0 <= judgement.step <= step.index:
        wrong = "it names a step that is not there"
    else:
        return judgement
    return replace(judgement, ruling=Ruling.UNSCORED, explanation=wrong, calls=(), step=None)


def objections(judgements: Sequence[Judgement], *, unscored_blocks: bool) -> tuple[Judgement, ...]:
    """Return the blocks before an action; where unscored blocks too, those with what the actor is to read."""
    found: list[Judgement] = []
    for judgement in judgements:
        if judgement.ruling is Ruling.BLOCK:
            found.append(judgement)
        elif judgement.ruling is Ruling.UNSCORED and unscored_blocks:
            why = f": {judgement.explanation}" if judgement.explanation else ""
            found.append(replace(judgement, explanation=f"this could not be judged{why}"))
    return tuple(found)


def blocked_calls(act: Act, blocks: Sequence[Judgement]) -> dict[int, tuple[Judgement, ...]]:
    """Return which calls are not to be carried out, each with the blocks that mean it."""
    meant = {
        place: tuple(one for one in blocks if not one.calls or place in one.calls) for place in range(len(act.calls))
    }
    return {place: by for place, by in meant.items() if by}


def plan_calls(
    act: Act, blocks: Sequence[Judgement], refused: Sequence[ToolResult | None], *, room: int | None
) -> Plan:
    """Decide which calls of a step are carried out.

    Args:
        act: The step.
        blocks: See `objections`.
        refused: Per call, why it cannot be carried out at all; None = it can.
        room: How many more calls may be carried out; None = any number.
    """
    blocked = blocked_calls(act, blocks)
    queue: list[int] = []
    results: list[ToolResult] = []
    for place, (call, refusal) in enumerate(zip(act.calls, refused, strict=True)):
        if refusal is not None:
            results.append(refusal)
        elif place in blocked:
            said = render_objection(blocked[place])
            results.append(ToolResult(call=call, text=said, status="blocked", error="Blocked", length=len(said)))
        elif room is not None and len(queue) >= room:
            results.append(ToolResult(call=call, text="", status="refused", error="CallLimit"))
        else:
            queue.append(place)
    return Plan(queue=tuple(queue), results=tuple(results))


def with_wrong_step(judgements: Sequence[Judgement], index: int) -> tuple[Judgement, ...]:
    """Return judgements after an observation, each block with the step that it means: by default the one just done."""
    return tuple(
        replace(one, step=index) if one.ruling is Ruling.BLOCK and one.step is None else one for one in judgements
    )


def wrong_step(judgements: Sequence[Judgement]) -> int | None:
    """Return the first step that a block after an observation means; None where there is no block."""
    return min((one.step for one in judgements if one.ruling is Ruling.BLOCK and one.step is not None), default=None)
