"""How an agent's steps, the results of its tools and a critic's objections are put into words for a model.

Whatever a tool, a model or a person wrote stands between fences. Steps and calls are numbered from 1 here. Pure: knows
no engine and runs no tool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from actorcritic.agent_steps import Act, AgentStep, Judgement, ToolResult, cut_text
from actorcritic.templates import load_template, quote
from actorcritic.types import Message, ToolCall, ToolSpec

__all__ = [
    "describe_act",
    "render_objection",
    "render_request",
    "render_result",
    "render_revision",
    "render_warnings",
]

NAME_LENGTH = 80
"""Characters of a tool's name as a model wrote it that are repeated to it."""
SHOWN = 1_000
"""Characters of one result among the earlier steps that a critic is shown, and of a step that was taken back."""


def render_result(result: ToolResult, specs: Mapping[str, ToolSpec], warnings: Sequence[Judgement] = ()) -> str:
    """Return what the actor reads of a call: what came back or what went wrong, and what critics remark.

    Args:
        result: Of the call.
        specs: The tools by name.
        warnings: Judgements with a warning.
    """
    return render_warnings(_result(result, specs), warnings)


def render_warnings(text: str, warnings: Sequence[Judgement]) -> str:
    """Return what the actor reads of a call with what critics remark beside it."""
    said = [judgement.explanation for judgement in warnings if judgement.explanation]
    if not said:
        return text
    return load_template("agent_warned").fill(result=text, critique=quote("\n".join(said), "critique"))


def _result(result: ToolResult, specs: Mapping[str, ToolSpec]) -> str:
    name = json.dumps(result.call.name[:NAME_LENGTH], ensure_ascii=False)
    if result.status == "done":
        return _returned(result)
    if result.status == "blocked":
        return load_template("agent_blocked").fill(name=name, critique=quote(result.text, "critique"))
    match result.error:
        case "UnknownTool":
            return load_template("agent_unknown_tool").fill(name=name, tools=", ".join(specs) or "none")
        case "BadArguments":
            spec = specs.get(result.call.name)
            schema = "{}" if spec is None else json.dumps(spec.parameters, ensure_ascii=False)
            return load_template("agent_bad_arguments").fill(
                name=name,
                arguments=quote(cut_text(result.call.arguments, SHOWN), "arguments"),
                complaint=quote(result.text, "complaint"),
                schema=schema,
            )
        case "CallLimit":
            return load_template("agent_call_limit").fill(name=name)
        case "TimeLimit":
            return load_template("agent_time_limit").fill(name=name, seconds=result.text)
        case _:
            return load_template("agent_failed").fill(
                name=name, error=result.error or "an error", message=quote(result.text, "message")
            )


def _returned(result: ToolResult) -> str:
    if not result.left_out:
        return load_template("agent_result").fill(result=quote(result.text, "result"))
    beginning, end = result.parts
    return load_template("agent_result_cut").fill(
        length=f"{result.length:,}",
        first=f"{len(beginning):,}",
        last=f"{len(end):,}",
        beginning=quote(beginning, "beginning"),
        end=quote(end, "end"),
    )


def render_objection(judgements: Sequence[Judgement]) -> str:
    """Return what critics object, as text; hostile wherever a model wrote it."""
    return "\n".join(judgement.explanation or "no reason given" for judgement in judgements)


def render_revision(taken_back: Sequence[Act], objections: Sequence[Judgement]) -> str:
    """Return what the actor reads where steps were taken back."""
    steps = "\n\n".join(describe_act(act, SHOWN) for act in taken_back)
    critique = quote(render_objection(objections), "critique")
    return load_template("agent_revise").fill(steps=quote(steps, "steps"), critique=critique)


def describe_act(act: Act, most: int | None = None) -> str:
    """Return a step as plain text: what was written, what was called, what came back.

    Args:
        act: The step.
        most: Characters of each result; None = all.
    """
    results = {result.call.id: result for result in act.results}
    parts = [act.text] if act.text.strip() else []
    for call in act.calls:
        parts.append(f"call: {_call(call)}")
        result = results.get(call.id)
        if result is not None:
            text = result.text if most is None else cut_text(result.text, most)
            cut = " (shortened)" if len(text) < result.length else ""
            parts.append(f"{result.status}{cut}: {text}")
    return "\n".join(parts)


def _call(call: ToolCall) -> str:
    return f"{call.name[:NAME_LENGTH]}({call.arguments})"


def render_request(step: AgentStep, *, with_tools: bool = False) -> tuple[Message, ...]:
    """Return the chat in which a model is asked to judge a step.

    What grows stands first and the question last, so that the questions of one conversation share their beginning.

    Args:
        step: What is judged.
        with_tools: Whether the critic has tools of its own.
    """
    tools = "\n".join(f"- {spec.name}: {' '.join(spec.description.split())[:SHOWN]}" for spec in step.tools)
    done = [f"Step {number}\n\n{_shown(act)}" for number, act in enumerate(step.before, start=1)]
    history = load_template("agent_critic").fill(
        task=quote(step.task, "task"), tools=quote(tools or "none", "tools"), steps="\n\n".join(done)
    )
    kind = "observation" if step.phase == "observation" else "answer" if step.is_answer else "action"
    ask = load_template(f"agent_critic_{kind}").fill(number=str(step.index + 1), step=_shown(step.act, SHOWN * 10))
    if with_tools:
        ask = load_template("agent_critic_tools").fill(request=ask)
    return (Message(role="user", content=f"{history.rstrip()}\n\n{ask}"),)


def _shown(act: Act, most: int = SHOWN) -> str:
    """Return a step as a critic reads it, with its calls numbered."""
    results = {result.call.id: result for result in act.results}
    parts = [quote(act.text, "text")] if act.text.strip() else []
    for number, call in enumerate(act.calls, start=1):
        parts.append(f"Call {number}:\n{quote(_call(call), 'call')}")
        result = results.get(call.id)
        if result is not None:
            text = cut_text(result.text, most)
            left_out = f", {result.length - len(text):,} characters left out" if len(text) < result.length else ""
            parts.append(f"Result of call {number} ({result.status}{left_out}):\n{quote(text, 'result')}")
    return "\n\n".join(parts) or quote("", "text")
