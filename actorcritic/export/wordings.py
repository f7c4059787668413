"""How rows put problems, solutions and critiques: as chats, or in the text of a model that has a format of its own.

A row that trains a model must hold what that model reads and writes at inference, word for word: both wordings take
their prompts from the library's own formats. Chats are lists of messages (TRL's conversational type); the embedded
pair's text is a string (TRL's standard type: the trainer joins prompt and completion and adds the end token), so a
completion may end with a blank, which belongs to its last token: never strip it. Pure; knows no recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, cast

from actorcritic.errors import InputError
from actorcritic.export.chat import (
    actor_format,
    actor_prompt,
    assistant,
    critic_prompt,
    critique_text,
    message_columns,
    solution_text,
    written,
)
from actorcritic.formats.embedded import EmbeddedActorFormat, EmbeddedCriticFormat, reason_code
from actorcritic.formats.lines import ACCEPT, is_written, parse_problem, render_lines
from actorcritic.tasks import environment
from actorcritic.types import Critique, JsonValue, Problem, Prompt, Solution, Verdict

__all__ = ["ANY", "NO_WORDS", "WORDINGS", "ChatWording", "EmbeddedWording", "Wording", "wording_named"]


class Wording(Protocol):
    """In which words a model is asked and answers, as columns of a row."""

    @property
    def name(self) -> str:
        """`chat` or `embedded`; goes into the manifest."""
        ...

    def ask(self, problem: Problem) -> JsonValue:
        """Return the prompt in which the actor is asked for a solution."""
        ...

    def go_on(self, problem: Problem, kept: Solution) -> JsonValue:
        """Return the prompt in which the actor goes on after the steps of `kept`, of which there may be none."""
        ...

    def rewrite(self, problem: Problem, solution: Solution, critique: Critique, kept: int) -> JsonValue:
        """Return the prompt in which the actor writes a solution anew with a critique, its first `kept` steps kept."""
        ...

    def judge(self, problem: Problem, solution: Solution) -> JsonValue:
        """Return the prompt in which a critic is asked to judge a solution."""
        ...

    def answer(self, problem: Problem, solution: Solution, begin: int = 0) -> JsonValue:
        """Return a solution as the actor's completion, from step `begin` on; None where the model has no words."""
        ...

    def worked(self, problem: Problem, text: str) -> JsonValue:
        """Return a worked solution of the problem file as the actor's completion; None where there are no words."""
        ...

    def remarks(self, problem: Problem, solution: Solution, critique: Critique) -> JsonValue:
        """Return a critique as the critic's completion; None where the model has no words for it."""
        ...


class ChatWording:
    """Chats, as any instruction-tuned model reads them.

    Args:
        plain: Ask with the problem's own words alone, without the form of the answer.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain

    @property
    def name(self) -> str:
        """See `Wording.name`."""
        return "chat"

    def ask(self, problem: Problem) -> JsonValue:
        """See `Wording.ask`."""
        return [dict(message) for message in actor_prompt(problem, plain=self._plain)]

    def go_on(self, problem: Problem, kept: Solution) -> JsonValue:
        """See `Wording.go_on`; the kept steps are an assistant message, which a chat template may close.

        In an environment each is a turn of its own, and the chat ends with what the environment shows.
        """
        if problem.checker == environment.CHECKER:
            return _messages(actor_format(problem, plain=self._plain).extend(problem, kept))
        prompt = cast("list[JsonValue]", self.ask(problem))
        before = solution_text(kept)
        return [*prompt, *assistant(before)] if before else prompt

    def rewrite(self, problem: Problem, solution: Solution, critique: Critique, kept: int) -> JsonValue:
        """See `Wording.rewrite`; kept steps are an assistant message after the request."""
        asks = actor_format(problem, plain=self._plain)
        if not kept:
            return _messages(asks.refine(problem, solution, critique))
        asked = asks.revise(problem, solution, critique, kept)
        return [*_messages(asked), *(assistant(asked.prefill) if asked.prefill else ())]

    def judge(self, problem: Problem, solution: Solution) -> JsonValue:
        """See `Wording.judge`."""
        return critic_prompt(problem, solution)

    def answer(self, problem: Problem, solution: Solution, begin: int = 0) -> JsonValue:
        """See `Wording.answer`."""
        return written(problem, solution, begin)

    def worked(self, problem: Problem, text: str) -> JsonValue:
        """See `Wording.worked`."""
        return assistant(text.strip())

    def remarks(self, problem: Problem, solution: Solution, critique: Critique) -> JsonValue:
        """See `Wording.remarks`."""
        return assistant(critique_text(solution, critique))


class EmbeddedWording:
    """The embedded pair's own text, token for token what `formats.embedded` puts to it and reads."""

    def __init__(self) -> None:
        self._actor, self._critic = EmbeddedActorFormat(), EmbeddedCriticFormat()

    @property
    def name(self) -> str:
        """See `Wording.name`."""
        return "embedded"

    def ask(self, problem: Problem) -> JsonValue:
        """See `Wording.ask`.

        Raises:
            InputError: the problem is of no family that the pair knows; so for the others.
        """
        return _text(self._actor.propose(problem))

    def go_on(self, problem: Problem, kept: Solution) -> JsonValue:
        """See `Wording.go_on`."""
        return _text(self._actor.extend(problem, kept))

    def rewrite(self, problem: Problem, solution: Solution, critique: Critique, kept: int) -> JsonValue:
        """See `Wording.rewrite`."""
        if kept:
            return _text(self._actor.revise(problem, solution, critique, kept))
        return _text(self._actor.refine(problem, solution, critique))

    def judge(self, problem: Problem, solution: Solution) -> JsonValue:
        """See `Wording.judge`."""
        return _text(self._critic.ask(problem, solution))

    def answer(self, problem: Problem, solution: Solution, begin: int = 0) -> JsonValue:
        """See `Wording.answer`: the model's own text where the log has it, else the lines that its steps make."""
        own = "".join(step.raw for step in solution.steps[begin:])
        if own and is_written(own):
            return own
        return self._lines(problem, [step.text for step in solution.steps], begin)

    def worked(self, problem: Problem, text: str) -> JsonValue:
        """See `Wording.worked`: one step a line."""
        return self._lines(problem, [line.strip() for line in text.splitlines() if line.strip()], 0)

    def remarks(self, problem: Problem, solution: Solution, critique: Critique) -> JsonValue:
        """See `Wording.remarks`: one word for every step, those after the first error too, as the critic answers."""
        codes = [
            ACCEPT if entry.verdict is Verdict.CORRECT else reason_code(entry.explanation) for entry in critique.steps
        ]
        if len(codes) != len(solution.steps) or any(entry.verdict is Verdict.UNSCORED for entry in critique.steps):
            return None
        return "".join(f"{code}\n" for code in codes)

    def _lines(self, problem: Problem, steps: list[str], begin: int) -> JsonValue:
        puzzle = parse_problem(problem.text)
        lines = () if puzzle is None else render_lines(puzzle, steps)
        return "".join(lines[begin:]) if steps and len(lines) == len(steps) else None


def _messages(prompt: Prompt) -> list[JsonValue]:
    assert not isinstance(prompt.content, str)  # a chat format asks in messages
    return [dict(message_columns(message)) for message in prompt.content]


def _text(prompt: Prompt) -> str:
    assert isinstance(prompt.content, str)  # the pair's format asks in text
    return prompt.content + prompt.prefill


WORDINGS: Mapping[str, Callable[[bool], Wording]] = {
    "chat": lambda plain: ChatWording(plain=plain),
    "embedded": lambda plain: EmbeddedWording(),
}
"""Every wording by name; made with whether prompts are plain, which only a chat can be."""

ANY = frozenset(WORDINGS)
"""What a recipe declares whose texts all come from its setting's wording."""

NO_WORDS = "no words for it in this wording"
"""Why a row is dropped whose solution or critique the model could not write."""


def wording_named(name: str, *, plain: bool = False) -> Wording:
    """Return a wording.

    Raises:
        InputError: there is none of that name, or it cannot be plain.
    """
    if name not in WORDINGS:
        raise InputError(f"unknown wording {name!r}; choose from: {', '.join(WORDINGS)}")
    if plain and name != "chat":
        raise InputError(f"--plain is for chats: the wording {name} has one form")
    return WORDINGS[name](plain)
