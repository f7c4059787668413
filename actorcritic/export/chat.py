"""Chats and texts as rows hold them: how the actor is asked, how a solution and a critique are written out.

Pure; knows no recipe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from actorcritic.answers import extract_answer
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat, render_critique
from actorcritic.formats.environment import EnvironmentActorFormat, EnvironmentCriticFormat
from actorcritic.formats.lines import is_written
from actorcritic.protocols import ActorFormat
from actorcritic.tasks import environment
from actorcritic.types import Critique, JsonValue, Message, Problem, Solution, Step

__all__ = [
    "CRITIC_TEMPLATES",
    "ChatMessage",
    "actor_format",
    "actor_prompt",
    "assistant",
    "boxed_answer",
    "critic_prompt",
    "critique_text",
    "mentions_help",
    "message_columns",
    "solution_text",
    "user",
    "written",
]

ChatMessage: TypeAlias = Mapping[str, JsonValue]
"""`role` and `content`, with `tool_calls` and `tool_call_id` where a message has them."""

CRITIC_TEMPLATES = ("critic_quoted", "critic_text", "aim_whole", "aim_partial")
"""The packaged prompts of which `critic_prompt` is made."""

_HELP = re.compile(
    r"\b(?:previous|earlier|first|original|given|provided|reference|your|my) "
    r"(?:attempt|solution|critique|feedback|hint|review)\b"
    r"|\bground[ -]truth\b|\bthe (?:critique|critic|feedback|hint|reviewer)\b"
    r"|\b(?:you|they) (?:pointed out|point out|said|mentioned)\b|\bcorrect answer is given\b",
    re.IGNORECASE,
)


def actor_format(problem: Problem, *, plain: bool = False) -> ActorFormat:
    """Return how a chat model is asked: in a turn per action where the problem is set by an environment."""
    if problem.checker == environment.CHECKER:
        return EnvironmentActorFormat(instruct=not plain)
    return ChatActorFormat(instruct=not plain)


def actor_prompt(problem: Problem, *, plain: bool = False) -> list[ChatMessage]:
    """Return the chat in which a chat model is asked to solve a problem.

    Args:
        problem: What is asked; its system prompt and history come along.
        plain: The problem's own words alone; else with the form of the answer, as this library asks at inference.
    """
    content = actor_format(problem, plain=plain).propose(problem).content
    assert not isinstance(content, str)
    return [message_columns(message) for message in content]


def critic_prompt(problem: Problem, solution: Solution) -> list[JsonValue]:
    """Return the chat in which a critic is asked to judge a solution, as this library asks at inference."""
    asks = EnvironmentCriticFormat() if problem.checker == environment.CHECKER else ChatCriticFormat()
    content = asks.ask(problem, solution).content
    assert not isinstance(content, str)
    return [dict(message_columns(message)) for message in content]


def user(content: str) -> list[JsonValue]:
    """Return a prompt of one user message."""
    return [{"role": "user", "content": content}]


def assistant(content: str) -> list[JsonValue]:
    """Return a completion of one assistant message."""
    return [{"role": "assistant", "content": content}]


def written(problem: Problem, solution: Solution, begin: int = 0) -> list[JsonValue]:
    """Return a solution as a completion, from step `begin` on: what the model wrote, and what an environment showed.

    In an environment there is one assistant message per action, and between two of them what the first one led to.
    """
    if problem.checker != environment.CHECKER:
        return assistant(solution_text(solution, slice(begin, None)))
    kept = replace(solution, steps=solution.steps[:begin])
    asks = actor_format(problem)
    whole, asked = asks.extend(problem, solution).content, asks.extend(problem, kept).content
    return [dict(message_columns(message)) for message in whole[len(asked) : -1] if isinstance(message, Message)]


def solution_text(solution: Solution, steps: slice = slice(None)) -> str:
    """Return what the model itself wrote, thinking included, without blank space around it; or some of its steps.

    What the embedded pair wrote in words of its own stands as a person reads it, a step a paragraph.
    """
    chosen: Sequence[str] = [_own_words(step) for step in solution.steps[steps]]
    return "".join(chosen).strip()


def _own_words(step: Step) -> str:
    if step.raw and is_written(step.raw):
        return f"{step.text}\n\n"
    return step.raw or f"{step.text}\n"


def critique_text(solution: Solution, critique: Critique) -> str:
    """Return what the critic wrote; where its own text is not logged, the critique in the library's format.

    So, too, where the embedded pair's critic wrote in words of its own.
    """
    own = "" if is_written(critique.raw) else critique.raw.strip()
    return own or render_critique(solution, critique)


def boxed_answer(text: str) -> str | None:
    r"""Return what stands in the last `\boxed{...}` of a text, None if there is none; other phrases do not count."""
    start = text.rfind("\\boxed")
    depth = 0
    for place in range(start, len(text)) if start >= 0 else ():
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0 and text[place] == "}":
            return extract_answer(text[start : place + 1])
    return None


def mentions_help(text: str) -> bool:
    """Whether a solution speaks of help that its reader will not see: an earlier attempt, a critique, a hint."""
    return _HELP.search(text) is not None


def message_columns(message: Message) -> ChatMessage:
    """Return a message in the columns that chat templates read."""
    plain: dict[str, JsonValue] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    return plain
