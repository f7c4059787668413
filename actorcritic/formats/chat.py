"""How any instruction-tuned model is asked to act and to judge, and how its text is read.

A problem stays a chat: its system prompt and history are messages of their own. Prompts that belong together share
their beginning: a partial solution, its continuation, its revision, and, where one model plays both roles, its
critique. Pure: knows no engine, and no checker beyond the form in which an answer is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from actorcritic.answers import extract_answer
from actorcritic.parsing.critique_json import critique_schema
from actorcritic.parsing.critiques import CritiqueReading, read_critique
from actorcritic.parsing.scores import correct_probability
from actorcritic.parsing.steps import StepStyle, attach_tokens, detect_style, split_steps, token_starts
from actorcritic.tasks.checkers import checker_of
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

__all__ = ["ChatActorFormat", "ChatCriticFormat", "render_critique"]

_TAGS = ("<think", "</think")
_FORMS = frozenset({"math", "exact", "countdown", "sudoku", "arithmetic", "reasoning-gym", "python-tests"})
"""Checkers with a prompt of their own that says how to write a solution; the others get that of `exact`."""

CHARACTERS_PER_TOKEN = 3
"""A low estimate, for the room that a critique needs to repeat a step."""
OPENING_LENGTH = 60
"""Characters of a step by which a critic that has read the solution is reminded of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatActorFormat:
    """An `ActorFormat` for chat models."""

    system: str | None = None
    """Stands before a problem that has no system prompt of its own."""
    instruct: bool = True
    """Say after the question how to write steps and answer; False = the problem's own words must do."""
    prefill: bool = True
    """Put the steps that are kept at the beginning of the answer; False, for an engine that cannot go on from there =
    quote them in the request and read the reply as what comes after them."""
    style: StepStyle = "auto"
    stop: tuple[str, ...] = ()

    @property
    def step_stop(self) -> tuple[str, ...]:
        """See `ActorFormat.step_stop`."""
        return ("\n",) if self.style == "lines" else ("\n\n",)

    def propose(self, problem: Problem) -> Prompt:
        """See `ActorFormat.propose`."""
        return Prompt(content=self._messages(problem))

    def extend(self, problem: Problem, solution: Solution) -> Prompt:
        """See `ActorFormat.extend`."""
        if not solution.steps or self.prefill:
            return self._prefilled(self._messages(problem), solution.steps)
        messages = self._messages(problem)
        place = _last_user(messages)
        kept = quote(_own_text(solution.steps), "solution")
        request = load_template("actor_extend").fill(request=messages[place].content, kept=kept)
        return Prompt(content=_with_content(messages, place, request))

    def revise(self, problem: Problem, solution: Solution, critique: Critique, revise_from: int) -> Prompt:
        """See `ActorFormat.revise`."""
        kept = solution.steps[:revise_from]
        said = quote(render_critique(solution, critique, begin=revise_from), "critique")
        number = str(revise_from + 1)
        if self.prefill or not kept:
            request = load_template("actor_revise").fill(critique=said, number=number)
            return self._prefilled(self.after_solution(problem, solution, request), kept)
        quoted = quote(_own_text(kept), "solution")
        request = load_template("actor_revise_after").fill(critique=said, number=number, kept=quoted)
        return Prompt(content=self.after_solution(problem, solution, request))

    def refine(self, problem: Problem, solution: Solution, critique: Critique) -> Prompt:
        """See `ActorFormat.refine`."""
        said = quote(render_critique(solution, critique), "critique")
        request = load_template("actor_refine").fill(critique=said, form=self._form(problem)).rstrip()
        return Prompt(content=self.after_solution(problem, solution, request))

    def read(self, problem: Problem, kept: Solution | None, generation: Generation) -> Solution:
        """See `ActorFormat.read`. Only a natural end makes a solution complete."""
        before = kept.steps if kept is not None else ()
        style = self._style("".join(step.raw for step in before), generation.text)
        new = attach_tokens(split_steps(generation.text, style), generation.tokens)
        if not self.prefill:
            new = new[_repeated(before, new) :]
        if generation.reasoning:
            thoughts = split_steps(generation.reasoning, self.style, thinking=True)
            new = (*attach_tokens(thoughts, generation.tokens), *new)
        steps = (*before, *new)
        return Solution(
            steps=steps,
            answer=extract_answer("".join(step.raw for step in steps if not step.thinking)),
            complete=generation.finish_reason is FinishReason.STOP,
            kept=len(before),
            logprob=_logprob(before, generation),
        )

    def _style(self, before: str, text: str) -> StepStyle:
        if self.style != "auto":
            return self.style
        style = detect_style(before + text)
        # A text that ended where steps end is one step, however many lines it has.
        return "paragraphs" if style == "lines" and text.endswith(self.step_stop) else style

    def _messages(self, problem: Problem) -> tuple[Message, ...]:
        messages = problem.prompt
        if isinstance(messages, str):
            messages = (Message(role="user", content=messages),)
        messages = _under_system(messages, self.system)
        place = _last_user(messages)
        form = self._form(problem)
        if not form or place < 0:
            return messages
        request = load_template("actor_request").fill(question=messages[place].content, form=form)
        return _with_content(messages, place, request)

    def _form(self, problem: Problem) -> str:
        """Return how to write a solution, which depends on how its answer is going to be found."""
        checker = checker_of(problem)
        form = checker.replace("-", "_") if checker in _FORMS else "exact"
        return load_template(f"form_{form}").text if self.instruct else ""

    def after_solution(self, problem: Problem, solution: Solution, request: str) -> tuple[Message, ...]:
        """Return the chat in which the solution was written and the user now asks for something else."""
        written = Message(role="assistant", content=_own_text(solution.steps))
        return (*self._messages(problem), written, Message(role="user", content=request))

    def _prefilled(self, messages: tuple[Message, ...], kept: Sequence[Step]) -> Prompt:
        own = _own_steps(kept)
        known = all(step.token_ids for step in own) and not (own and own[-1].straddles)
        ids = tuple(token for step in own for token in step.token_ids) if known else ()
        return Prompt(content=messages, prefill="".join(step.raw for step in own), prefill_ids=ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCriticFormat:
    """A `CriticFormat` for chat models.

    Steps inside a thinking block are neither shown nor judged: they stay unscored, and forbid no pass.
    """

    follows: ChatActorFormat | None = None
    """The actor's format where the same model plays both roles: then the critique goes on from the actor's own chat,
    and problem and solution are not paid twice. None = quote problem and solution in one request."""
    output: Literal["text", "json"] = "text"
    system: str | None = None
    """Stands before a request that quotes, where the problem has no system prompt of its own."""
    judge_thinking: bool = False
    """Judge the steps inside thinking blocks like all others."""
    top_logprobs: int = 10
    """How many alternatives per position to ask for, from which scores are made; 0 = no scores."""
    tokens_per_step: int = 128
    """Room for the judgement of one step, >= 1; what it repeats of the step comes on top."""

    def json_schema(self, solution: Solution) -> Mapping[str, JsonValue] | None:
        """Return the schema for an engine that can constrain its output; None for the text format."""
        return critique_schema(len(self._judged(solution))) if self.output == "json" else None

    def ask(self, problem: Problem, solution: Solution) -> Prompt:
        """See `CriticFormat.ask`."""
        aim = load_template("aim_whole" if solution.complete else "aim_partial").text
        task = load_template(f"critic_{self.output}").fill(aim=aim)
        steps = [solution.steps[index].text for index in self._judged(solution)]
        if self.follows is not None:
            request = load_template("critic_follows").fill(steps=_openings(steps), task=task)
            return Prompt(content=self.follows.after_solution(problem, solution, request))
        quoted = "\n\n".join(f"Step {number}\n{quote(text, 'step')}" for number, text in enumerate(steps, start=1))
        question = quote(problem.text, "problem")
        request = load_template("critic_quoted").fill(question=question, steps=quoted, task=task)
        messages = (*_history(problem), Message(role="user", content=request))
        return Prompt(content=_under_system(messages, self.system))

    def max_tokens(self, solution: Solution) -> int:
        """See `CriticFormat.max_tokens`."""
        steps = [solution.steps[index] for index in self._judged(solution)]
        repeated = sum(len(step.text) // CHARACTERS_PER_TOKEN for step in steps) if self.output == "text" else 0
        return self.tokens_per_step * (len(steps) + 1) + repeated

    def read(self, problem: Problem, solution: Solution, generation: Generation) -> Critique:
        """See `CriticFormat.read`."""
        judged = self._judged(solution)
        texts = [solution.steps[index].text for index in judged]
        complete = generation.finish_reason is FinishReason.STOP
        reading = read_critique(generation.text, texts, complete=complete)
        starts = token_starts(generation.text, generation.tokens)
        scores = [correct_probability(generation.tokens, starts, word) for word in reading.step_words]
        final = correct_probability(generation.tokens, starts, reading.final_word)
        entries = [StepCritique(verdict=Verdict.UNSCORED)] * len(solution.steps)
        for index, entry, score in zip(judged, reading.critique.steps, scores, strict=True):
            entries[index] = replace(entry, score=score)
        return replace(reading.critique, steps=tuple(entries), score=_score(reading, final, scores))

    def _judged(self, solution: Solution) -> list[int]:
        """Return the indices of the steps that are shown and judged; all of them where there is thinking only."""
        everything = list(range(len(solution.steps)))
        visible = [index for index in everything if not solution.steps[index].thinking]
        return everything if self.judge_thinking or not visible else visible


def render_critique(solution: Solution, critique: Critique, begin: int = 0) -> str:
    """Return a critique in the words in which it was asked for, from step `begin` on, without what is unscored.

    Nothing of `Critique.raw` is in it, so that a critic's own text reaches an actor only as explanations.
    """
    words = {Verdict.CORRECT: "Correct", Verdict.INCORRECT: "Wrong"}
    blocks: list[str] = []
    for index, (step, entry) in enumerate(zip(solution.steps, critique.steps, strict=False)):
        if index >= begin and entry.verdict in words:
            sentence = f"Step {index + 1}\nStep sentence: {step.text}\nCorrectness of the step: {words[entry.verdict]}"
            blocks.append(_explained(sentence, entry.explanation))
    if critique.verdict in words:
        final = f"Correctness of the final answer: {words[critique.verdict]}"
        blocks.append(_explained(final, critique.explanation))
    return "\n\n".join(blocks) or "No remarks."


def _explained(text: str, explanation: str | None) -> str:
    return f"{text}\nExplanation: {explanation}" if explanation else text


def _own_steps(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that stand in the model's own text: all but those of a reasoning field."""
    tagged = any(tag in step.raw.lower() for step in steps if step.thinking for tag in _TAGS)
    return [step for step in steps if tagged or not step.thinking]


def _own_text(steps: Sequence[Step]) -> str:
    return "".join(step.raw for step in _own_steps(steps))


def _last_user(messages: Sequence[Message]) -> int:
    """Return the place of the last user message, -1 if there is none."""
    return max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)


def _under_system(messages: tuple[Message, ...], system: str | None) -> tuple[Message, ...]:
    if system is None or any(message.role == "system" for message in messages):
        return messages
    return (Message(role="system", content=system), *messages)


def _with_content(messages: tuple[Message, ...], place: int, content: str) -> tuple[Message, ...]:
    return (*messages[:place], replace(messages[place], content=content), *messages[place + 1 :])


def _history(problem: Problem) -> tuple[Message, ...]:
    """Return what stands before the question in a chat; all of it where something follows the question."""
    if isinstance(problem.prompt, str):
        return ()
    return problem.prompt[:-1] if problem.prompt and problem.prompt[-1].role == "user" else problem.prompt


def _openings(steps: Sequence[str]) -> str:
    lines = [f"Step {number}: {' '.join(text.split())[:OPENING_LENGTH]}" for number, text in enumerate(steps, start=1)]
    return quote("\n".join(lines), "steps")


def _repeated(kept: Sequence[Step], new: Sequence[Step]) -> int:
    """Return how many leading steps only repeat the last kept ones, though the model was told not to."""
    for begin in range(len(kept)):
        tail = [step.text for step in kept[begin:]]
        if [step.text for step in new[: len(tail)]] == tail:
            return len(tail)
    return 0


def _logprob(before: Sequence[Step], generation: Generation) -> float | None:
    if not generation.tokens or (before and not any(step.logprobs for step in before)):
        return None
    kept = sum(logprob for step in before for logprob in step.logprobs)
    return kept + sum(token.logprob for token in generation.tokens)


def _score(reading: CritiqueReading, final: float | None, steps: Sequence[float | None]) -> float | None:
    """Return the probability at the final verdict; where a wrong step overrules that, the lowest of them."""
    verdict = reading.critique.verdict
    if verdict is Verdict.UNSCORED:
        return None
    if reading.final is verdict:
        return final
    judged = zip(reading.critique.steps, steps, strict=True)
    wrong = [score for entry, score in judged if entry.verdict is Verdict.INCORRECT and score is not None]
    if not wrong:
        return None
    return min(wrong) if final is None else min(final, *wrong)
