"""What an exported row says, and how what a model writes after its prompt is read: by the library's own formats.

A row whose prompt is a chat is for chat models; one whose prompt is text is in the embedded pair's words (the export's
wording `embedded`). Attempts are read by how they are written, whoever judges them. Knows no trainer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat
from actorcritic.formats.embedded import EmbeddedActorFormat, EmbeddedCriticFormat
from actorcritic.formats.lines import parse_problem, problem_prompt, read_line
from actorcritic.protocols import ActorFormat, CriticFormat
from actorcritic.types import (
    Critique,
    FinishReason,
    Generation,
    Message,
    Problem,
    Prompt,
    Reference,
    Solution,
    Usage,
)

__all__ = ["Columns", "Row", "said"]

Columns: TypeAlias = Mapping[str, Any]
"""A row of a data set, as a trainer holds it."""

_ENDINGS = ("\n", " ", "")
"""What may have stood at the end of a line of the embedded pair before blank space was taken off."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row with the columns `prompt`, `problem`, `answer` and `checker`; `attempt` where one is to be judged."""

    columns: Columns

    @property
    def chat(self) -> bool:
        """Whether it is for chat models, rather than in the embedded pair's words."""
        return not isinstance(self.columns["prompt"], str)

    @property
    def problem(self) -> Problem:
        """The problem as its checker reads it."""
        text = str(self.columns["problem"])
        return Problem(id=text, prompt=text, checker=str(self.columns["checker"]) or None)

    @property
    def reference(self) -> Reference:
        """The gold side; an empty answer is none."""
        return Reference(answer=str(self.columns["answer"]) or None)

    @property
    def prompt(self) -> Prompt:
        """What the model is asked."""
        given: object = self.columns["prompt"]
        if isinstance(given, str):
            return Prompt(content=given)
        messages = cast("Sequence[Mapping[str, Any]]", given)
        return Prompt(content=tuple(Message(role=item["role"], content=item["content"]) for item in messages))

    @property
    def asked(self) -> Problem:
        """The problem with all that its prompt says, for what goes on from there."""
        content = self.prompt.content
        return self.problem if isinstance(content, str) else Problem(id=self.problem.id, prompt=content)

    @property
    def actor(self) -> ActorFormat:
        """How an actor is asked and read."""
        # The prompt of a chat says already how a solution is to be written.
        return ChatActorFormat(instruct=False) if self.chat else EmbeddedActorFormat()

    @property
    def critic(self) -> CriticFormat:
        """How a critic is asked and read."""
        return ChatCriticFormat() if self.chat else EmbeddedCriticFormat()

    @property
    def attempt(self) -> Solution:
        """The attempt that is to be judged."""
        text = str(self.columns["attempt"])
        lines = text.splitlines() if self.chat else []
        written = [_line_of_pair(line) for line in lines]
        known = [line for line in written if line is not None]
        if not self.chat or (known and len(known) == len(lines) and parse_problem(self.problem.text) is not None):
            return EmbeddedActorFormat().read(self.problem, None, _generation("".join(known) or text, complete=True))
        return ChatActorFormat().read(self.problem, None, _generation(text, complete=True))

    @property
    def correction(self) -> str:
        """What asks for a second attempt without saying whether the first is right (SCoRe).

        The embedded pair has no words for that but the question itself.
        """
        puzzle = None if self.chat else parse_problem(self.problem.text)
        return str(self.columns["correction"]) if puzzle is None else problem_prompt(puzzle)

    def read_solution(self, text: str, *, complete: bool) -> Solution:
        """Read what the model wrote when it was asked for a solution; never raises on what it wrote."""
        return self.actor.read(self.problem, None, _generation(text, complete=complete))

    def read_critique(self, text: str, *, complete: bool) -> Critique:
        """Read what the model wrote when it was asked to judge `attempt`; what cannot be read is unscored."""
        return self.critic.read(self.problem, self.attempt, _generation(text, complete=complete))


def said(completion: object) -> str:
    """Return the text of a completion, which TRL hands over as text or as a chat of one message."""
    if isinstance(completion, str):
        return completion
    messages = cast("Sequence[Mapping[str, object]]", completion)
    return "".join(str(message.get("content") or "") for message in messages)


def _line_of_pair(line: str) -> str | None:
    """Return a line with the ending that the pair gave it; None if it is no line of the pair."""
    return next((line + ending for ending in _ENDINGS if read_line(line + ending) != line.strip()), None)


def _generation(text: str, *, complete: bool) -> Generation:
    reason = FinishReason.STOP if complete else FinishReason.LENGTH
    return Generation(text=text, finish_reason=reason, usage=Usage())
