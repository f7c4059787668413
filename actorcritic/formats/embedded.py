"""How problems, critiques and solutions are put to the embedded pair, and how what it writes is read.

The words are those of `lines`. A format is told what words its model has, so that a pair that was made before a family
existed says so instead of guessing. The critic reads `problem, attempt, judge` and answers one verdict token per step.
Pure: knows no engine and no checker; what it cannot read is unscored, never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from actorcritic.errors import InputError
from actorcritic.formats.lines import (
    ACCEPT,
    REASONS,
    Puzzle,
    critic_prompt,
    family_name,
    known_families,
    parse_problem,
    problem_prompt,
    read_line,
    reject_block,
    render_lines,
    step_count,
    vocabulary,
)
from actorcritic.tasks import arithmetic, sudoku
from actorcritic.types import (
    Critique,
    FinishReason,
    Generation,
    Problem,
    Prompt,
    Solution,
    Step,
    StepCritique,
    TokenLogprob,
    Verdict,
)

__all__ = ["PAIR_OF", "EmbeddedActorFormat", "EmbeddedCriticFormat", "explain", "pair_for", "reason_code"]

THRESHOLD = 0.5
"""A step is called incorrect when its probability of being right is below this."""
LONGEST = {"countdown": 32, "sudoku": 32, "arithmetic": 48}
"""Completion tokens per family, more than any whole solution has."""
EXAMPLES = {
    "countdown": "'Use 7, 13 and 14 to make 15.'",
    "sudoku": "'Fill the sudoku 1.../..2./.3../4...'",
    "arithmetic": "'Work out (19 - ((3 + 9) - 4)) + 16'",
}

PAIR_OF: Mapping[str, str] = {
    "countdown": "embedded",
    "sudoku": "embedded",
    "arithmetic": "embedded:arithmetic",
}
"""The packaged pair that knows a family, as a model spec."""


def pair_for(problem: Problem) -> str | None:
    """Return the spec of the packaged pair that knows a problem; None: none does."""
    puzzle = parse_problem(problem.text)
    return None if puzzle is None else PAIR_OF[family_name(puzzle)]


def explain(code: str, step: str) -> str:
    """Return a reason for a person; it begins with the code, so that the actor's prompt can be built from it."""
    return f"{code}: {REASONS[code].replace('{step}', step)}"


def reason_code(explanation: str | None) -> str:
    """Return the reason code that an explanation begins with, `wrong` for any other text."""
    code = (explanation or "").partition(":")[0]
    return code if code in REASONS else "wrong"


class _Knowing:
    """A format that knows which families its model was made for.

    Args:
        words: the model's own tokens; None = all that there are.
    """

    def __init__(self, words: Collection[str] | None = None) -> None:
        self.families = known_families(vocabulary() if words is None else words)

    def _puzzle(self, problem: Problem) -> Puzzle:
        """Return the puzzle that a problem is.

        Raises:
            InputError: it is none, or of a family that the model does not know.
        """
        puzzle = parse_problem(problem.text)
        if puzzle is None:
            known = " and ".join(EXAMPLES[family] for family in self.families)
            raise InputError(f"the embedded pair solves only problems such as {known}")
        family = family_name(puzzle)
        if family not in self.families:
            raise InputError(
                f"this embedded pair does not know {family}, only {' and '.join(self.families)}: take "
                f"{PAIR_OF[family]} for it, or another model"
            )
        return puzzle


class EmbeddedActorFormat(_Knowing):
    """How problems and critiques are put to the embedded actor."""

    @property
    def stop(self) -> tuple[str, ...]:
        """None: the actor ends with its end token."""
        return ()

    @property
    def step_stop(self) -> tuple[str, ...]:
        """Every line ends with a newline, but a countdown's last, which ends with the end token."""
        return ("\n",)

    @property
    def max_tokens(self) -> int:
        """Longer than any whole solution of the families that the model knows."""
        return max((LONGEST[family] for family in self.families), default=0)

    def propose(self, problem: Problem) -> Prompt:
        """Ask for a solution.

        Raises:
            InputError: the problem is of no family that the model knows.
        """
        return Prompt(content=problem_prompt(self._puzzle(problem)))

    def extend(self, problem: Problem, solution: Solution) -> Prompt:
        """Ask to go on from the last readable step."""
        puzzle = self._puzzle(problem)
        lines = render_lines(puzzle, [step.text for step in solution.steps])
        return Prompt(content=problem_prompt(puzzle), prefill="".join(lines))

    def revise(self, problem: Problem, solution: Solution, critique: Critique, revise_from: int) -> Prompt:
        """Ask to go on from step `revise_from`, told the rejected step and why; the kept steps are a shared prefix."""
        puzzle = self._puzzle(problem)
        return Prompt(
            content=problem_prompt(puzzle), prefill=_revision(puzzle, solution, critique, revise_from, kept=revise_from)
        )

    def refine(self, problem: Problem, solution: Solution, critique: Critique) -> Prompt:
        """Ask for a whole new solution, told the first wrong step and why."""
        puzzle = self._puzzle(problem)
        if critique.first_error is None:
            return Prompt(content=problem_prompt(puzzle))
        return Prompt(
            content=problem_prompt(puzzle), prefill=_revision(puzzle, solution, critique, critique.first_error, kept=0)
        )

    def read(self, problem: Problem, kept: Solution | None, generation: Generation) -> Solution:
        """Split a completion into steps after the kept ones; the answer is an equation, a grid or a number."""
        before = kept.steps if kept else ()
        steps = (*before, *_split(generation))
        puzzle = parse_problem(problem.text)
        whole = puzzle is not None and len(steps) == step_count(puzzle)
        ended = generation.finish_reason is FinishReason.STOP
        logprobs = [p for step in steps for p in step.logprobs]
        return Solution(
            steps=steps,
            answer=_answer(puzzle, steps) if puzzle is not None and whole and ended else None,
            complete=whole and ended,
            kept=len(before),
            logprob=sum(logprobs) if logprobs else None,
        )


def _answer(puzzle: Puzzle, steps: Sequence[Step]) -> str:
    """Return what a person asked for: the last equation, the filled grid as the problem writes it, or the number."""
    if isinstance(puzzle, sudoku.Sudoku):
        grid = sudoku.vote_key(puzzle, [step.text for step in steps])
        if grid is not None:
            return "/".join(grid[row : row + 4] for row in range(0, 16, 4))
    if isinstance(puzzle, arithmetic.Arithmetic):
        number = arithmetic.vote_key(puzzle, [step.text for step in steps])
        if number is not None:
            return number
    return steps[-1].text


def _revision(puzzle: Puzzle, solution: Solution, critique: Critique, rejected: int, *, kept: int) -> str:
    lines = render_lines(puzzle, [step.text for step in solution.steps])
    block = ""
    if rejected < len(lines):
        entry = critique.steps[rejected] if rejected < len(critique.steps) else None
        block = reject_block(lines[rejected], reason_code(entry.explanation if entry else None))
    return "".join(lines[:kept]) + block


def _split(generation: Generation) -> tuple[Step, ...]:
    """Cut a completion after every newline; tokens go with the line they belong to, the end token with the last."""
    raws = generation.text.splitlines(keepends=True)
    tokens = list(generation.tokens)
    steps: list[Step] = []
    for at, raw in enumerate(raws):
        own = _take(tokens, raw) if at + 1 < len(raws) else tokens
        steps.append(
            Step(
                text=read_line(raw),
                raw=raw,
                token_ids=tuple(t.token_id for t in own if t.token_id is not None),
                logprobs=tuple(t.logprob for t in own),
            )
        )
    return tuple(steps)


def _take(tokens: list[TokenLogprob], raw: str) -> list[TokenLogprob]:
    taken, length = 0, 0
    while taken < len(tokens) and length < len(raw):
        length += len(tokens[taken].text)
        taken += 1
    own = tokens[:taken]
    del tokens[:taken]
    return own


class EmbeddedCriticFormat(_Knowing):
    """How solutions are put to the embedded critic, and how its verdict tokens are read."""

    @property
    def top_logprobs(self) -> int:
        """Enough alternatives to find the probability of `ok`."""
        return 5

    def ask(self, problem: Problem, solution: Solution) -> Prompt:
        """Ask for one verdict per readable step.

        Raises:
            InputError: the problem is of no family that the model knows.
        """
        puzzle = self._puzzle(problem)
        return Prompt(content=critic_prompt(puzzle, render_lines(puzzle, [s.text for s in solution.steps])))

    def max_tokens(self, solution: Solution) -> int:
        """One token per step and the end token."""
        return len(solution.steps) + 1

    def json_schema(self, solution: Solution) -> None:
        """None: the critic has a vocabulary of its own."""

    def read(self, problem: Problem, solution: Solution, generation: Generation) -> Critique:
        """Read one verdict token per step; a missing or foreign word leaves its step and the solution unscored."""
        puzzle = self._puzzle(problem)
        readable = len(render_lines(puzzle, [s.text for s in solution.steps]))
        words = generation.text.split("\n")
        tokens = generation.tokens
        entries: list[StepCritique] = []
        for at, step in enumerate(solution.steps):
            word = words[at] if at < min(readable, len(words) - 1) else ""
            token = tokens[at] if at < len(tokens) and tokens[at].text.strip() == word else None
            entries.append(_judge(step.text, word, token))
        steps = tuple(entries)
        return Critique(
            steps=steps,
            verdict=_overall(steps, misshapen=solution.complete and len(steps) != step_count(puzzle)),
            score=_score(steps) if not solution.complete or len(steps) == step_count(puzzle) else None,
            raw=generation.text,
        )


def _judge(step: str, word: str, token: TokenLogprob | None) -> StepCritique:
    if word != ACCEPT and word not in REASONS:
        return StepCritique(verdict=Verdict.UNSCORED)
    score = _accepted(word, token) if token else None
    wrong = score < THRESHOLD if score is not None else word != ACCEPT
    if not wrong:
        return StepCritique(verdict=Verdict.CORRECT, score=score)
    code = word if word != ACCEPT else _likeliest_reason(token)
    return StepCritique(verdict=Verdict.INCORRECT, explanation=explain(code, step), score=score)


def _accepted(word: str, token: TokenLogprob) -> float | None:
    """Return the probability of `ok`: the token's own, or its rival's; None if no alternatives were reported."""
    if word == ACCEPT:
        return min(1.0, math.exp(token.logprob))
    rivals = {text.strip(): p for text, p in token.top.items()}
    if not rivals:
        return None
    return min(1.0, math.exp(rivals[ACCEPT])) if ACCEPT in rivals else 0.0


def _likeliest_reason(token: TokenLogprob | None) -> str:
    rivals = {text.strip(): p for text, p in token.top.items()} if token else {}
    return max((code for code in rivals if code in REASONS), key=lambda code: rivals[code], default="wrong")


def _overall(steps: Sequence[StepCritique], *, misshapen: bool) -> Verdict:
    verdicts = {step.verdict for step in steps}
    if Verdict.INCORRECT in verdicts:
        return Verdict.INCORRECT
    return Verdict.CORRECT if verdicts == {Verdict.CORRECT} and not misshapen else Verdict.UNSCORED


def _score(steps: Sequence[StepCritique]) -> float | None:
    """Return the probability that no step is wrong, None as soon as one step has no score."""
    scores = [step.score for step in steps if step.score is not None]
    return math.prod(scores) if scores and len(scores) == len(steps) else None
