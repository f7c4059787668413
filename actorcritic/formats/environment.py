"""How a chat model plays in an environment and how it judges play: one turn per action, observations as answers.

The actor writes a thought and a line `Action: ...`; without such a line the last line is the action. The critic gives
an explanation and a score from 0 to 10, as in LATS (Zhou et al. 2023, arXiv 2310.04406). `history="last"` shows past
actions and the last observation only, as in Agent Q (Putta et al. 2024, arXiv 2408.07199). Pure: knows no environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from actorcritic.formats.chat import render_critique
from actorcritic.parsing.steps import attach_tokens
from actorcritic.templates import load_template, quote
from actorcritic.types import (
    Critique,
    FinishReason,
    Generation,
    JsonValue,
    Message,
    Problem,
    Prompt,
    Solution,
    Step,
    StepCritique,
    Verdict,
)

__all__ = ["EnvironmentActorFormat", "EnvironmentCriticFormat", "find_action"]

LONGEST = 1000
"""Characters of an action at most; the rest of a longer line is not done."""
OMITTED = "(no longer shown)"
TOP_SCORE = 10

_ACTION = re.compile(r"[ \t>*`-]*action[*` \t]*:[ \t]*(.*)", re.IGNORECASE)
_SCORE = re.compile(r"[ \t*]*score[* \t]*:[* \t]*(\d{1,2})(?:[ \t]*/[ \t]*10)?[.* \t]*", re.IGNORECASE)
_EXPLANATION = re.compile(r"[ \t*]*explanation[* \t]*:[* \t]*", re.IGNORECASE)


def find_action(text: str) -> str:
    """Return the action in what a model wrote: the last `Action:` line, else the last line; "" where it is empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [action for line in lines if (match := _ACTION.fullmatch(line)) and (action := _bare(match[1]))]
    if not named and lines and not _ACTION.fullmatch(lines[-1]):
        named = [_bare(lines[-1])]
    return named[-1][:LONGEST].strip() if named else ""


def _bare(action: str) -> str:
    """Return an action without the marks of emphasis and code around it."""
    action = action.strip().strip("*").strip()
    return action.strip("`").strip() if action.startswith("`") and action.endswith("`") else action


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentActorFormat:
    """An `ActorFormat` for chat models that act; a solution's steps are actions with their observations."""

    system: str | None = None
    """Stands before a problem that has no system prompt of its own."""
    instruct: bool = True
    """Say how an action is written; False = the problem's own words must do."""
    list_actions: bool = True
    """Say what can be done, where the environment does."""
    history: Literal["all", "last"] = "all"
    """Which observations are shown; past actions are shown always. `all` lets prompts share their beginnings."""
    stop: tuple[str, ...] = ()
    step_stop: tuple[str, ...] = ()

    def propose(self, problem: Problem) -> Prompt:
        """See `ActorFormat.propose`: ask for the first action."""
        return self._prompt(problem, ())

    def extend(self, problem: Problem, solution: Solution) -> Prompt:
        """See `ActorFormat.extend`: ask for the next action."""
        return self._prompt(problem, solution.steps)

    def revise(self, problem: Problem, solution: Solution, critique: Critique, revise_from: int) -> Prompt:
        """See `ActorFormat.revise`: ask for another action than the one that was taken."""
        *before, last = self._messages(problem, solution.steps[:revise_from])
        attempt = _played(solution.steps[revise_from:])
        said = quote(render_critique(solution, critique, begin=revise_from), "critique")
        content = load_template("environment_revise").fill(shown=last.content, attempt=attempt, critique=said)
        return Prompt(content=(*before, Message(role="user", content=content)))

    def refine(self, problem: Problem, solution: Solution, critique: Critique) -> Prompt:
        """See `ActorFormat.refine`: ask for the first action of another episode."""
        return self.revise(problem, solution, critique, 0)

    def read(self, problem: Problem, kept: Solution | None, generation: Generation) -> Solution:
        """See `ActorFormat.read`: one more step, without its observation; none where the text was cut off or empty."""
        before = kept.steps if kept is not None else ()
        action = find_action(generation.text) if generation.finish_reason is FinishReason.STOP else ""
        new = attach_tokens((Step(text=action, raw=generation.text),), generation.tokens) if action else ()
        return Solution(steps=(*before, *new), complete=False, kept=len(before))

    def _prompt(self, problem: Problem, steps: Sequence[Step]) -> Prompt:
        return Prompt(content=tuple(self._messages(problem, steps)))

    def _messages(self, problem: Problem, steps: Sequence[Step]) -> list[Message]:
        """Return the chat up to the next action; it ends with what the environment shows now."""
        acted = [step for step in steps if step.observation is not None]
        messages = self._beginning(problem)
        for number, step in enumerate(acted, start=1):
            assert step.observation is not None  # chosen so
            shown = self._with_actions(step.observation.text, step.observation.actions)
            if self.history == "last" and number < len(acted):
                shown = OMITTED
            messages += [
                Message(role="assistant", content=step.raw or f"Action: {step.text}"),
                Message(role="user", content=shown),
            ]
        return messages

    def _beginning(self, problem: Problem) -> list[Message]:
        asked = problem.prompt
        messages = [Message(role="user", content=asked)] if isinstance(asked, str) else list(asked)
        if self.system is not None and not any(message.role == "system" for message in messages):
            messages.insert(0, Message(role="system", content=self.system))
        first = problem.meta.get("actions")
        known = tuple(map(str, first)) if isinstance(first, list) else None
        content = self._with_actions(messages[-1].content, known) if messages else ""
        if self.instruct:
            content = f"{content}\n\n{load_template('form_environment').text}"
        return [*messages[:-1], Message(role="user", content=content)]

    def _with_actions(self, shown: str, actions: Sequence[str] | None) -> str:
        if not actions or not self.list_actions:
            return shown
        listed = "\n".join(f"- {action}" for action in actions)
        return load_template("environment_actions").fill(shown=shown, actions=listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentCriticFormat:
    """A `CriticFormat` that asks for one score of an episode so far, and reads nothing else as one.

    The score stands at the last action, which is the one that a search compares with its siblings.
    """

    system: str | None = None
    accept: float = 0.5
    """Score in [0, 1] from which an episode is called correct."""
    room: int = 256
    """Completion tokens at most, >= 1."""
    top_logprobs: int = 0

    def ask(self, problem: Problem, solution: Solution) -> Prompt:
        """See `CriticFormat.ask`."""
        aim = load_template(f"environment_aim_{'whole' if solution.complete else 'partial'}").text
        task = quote(problem.text, "task")
        request = load_template("environment_critic").fill(task=task, steps=_played(solution.steps), aim=aim)
        asked = Message(role="user", content=request)
        return Prompt(content=(asked,) if self.system is None else (Message(role="system", content=self.system), asked))

    def max_tokens(self, solution: Solution) -> int:
        """See `CriticFormat.max_tokens`."""
        del solution
        return self.room

    def json_schema(self, solution: Solution) -> Mapping[str, JsonValue] | None:
        """Return None: free text."""
        del solution
        return None

    def read(self, problem: Problem, solution: Solution, generation: Generation) -> Critique:
        """See `CriticFormat.read`; anything but exactly one score in range is unscored."""
        del problem
        lines = generation.text.splitlines()
        found = [int(match[1]) for line in lines if (match := _SCORE.fullmatch(line))]
        words = " ".join(line.strip() for line in lines if line.strip() and not _SCORE.fullmatch(line))
        explanation = _EXPLANATION.sub("", words, count=1) or None
        silent = StepCritique(verdict=Verdict.UNSCORED)
        steps = [silent] * len(solution.steps)
        if len(found) != 1 or found[0] > TOP_SCORE:
            return Critique(steps=tuple(steps), verdict=Verdict.UNSCORED, explanation=explanation, raw=generation.text)
        score = found[0] / TOP_SCORE
        verdict = Verdict.CORRECT if score >= self.accept else Verdict.INCORRECT
        if steps:
            steps[-1] = StepCritique(verdict=verdict, explanation=explanation, score=score)
        return Critique(steps=tuple(steps), verdict=verdict, explanation=explanation, score=score, raw=generation.text)


def _played(steps: Sequence[Step]) -> str:
    """Return actions and observations, each between fences."""
    shown: list[str] = []
    for number, step in enumerate((step for step in steps if not step.thinking), start=1):
        shown.append(f"Action {number}\n{quote(step.text, 'action')}")
        if step.observation is not None:
            shown.append(f"Shown then\n{quote(step.observation.text, 'observation')}")
    return "\n\n".join(shown) or "(nothing yet)"
