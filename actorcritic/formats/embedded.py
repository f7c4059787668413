"""The text that the embedded pair reads and writes, and its translation to what a person types and reads.

Every token is a word with its own trailing blank or newline, so pieces of text join without loss. A countdown line is
`14 / 7 2 13 =15`: operands, result, the other numbers left, the target again. A sudoku line is one token, `r1c2=3`.
The critic reads `problem, attempt, judge` and answers one verdict token per step. Pure: knows no engine and no
checker; what it cannot read is unscored, never a pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from actorcritic.errors import InputError
from actorcritic.tasks import countdown, sudoku
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

__all__ = [
    "ACCEPT",
    "END",
    "REASONS",
    "EmbeddedActorFormat",
    "EmbeddedCriticFormat",
    "Puzzle",
    "critic_prompt",
    "explain",
    "parse_problem",
    "problem_prompt",
    "reason_code",
    "reject_block",
    "render_lines",
    "step_count",
    "vocabulary",
]

Puzzle: TypeAlias = countdown.Countdown | sudoku.Sudoku

MAX_VALUE = 255
"""The largest number with a token; a line with a larger one cannot be put to the models."""
END = "<eos>"
ACCEPT = "ok"
REASONS: Mapping[str, str] = {
    "bad-result": "the result of {step} is wrong",
    "not-available": "{step} uses a number that is not there to use",
    "unreachable": "after {step} the target is out of reach",
    "clash": "{step} clashes with the same value in its row, column or box",
    "wrong-value": "{step} leaves no way to fill the rest",
    "wrong": "{step} is not right",
}
"""Reason codes a critic may give, and how they are told to a person. `wrong` stands for any other critic's reason."""
THRESHOLD = 0.5
"""A step is called incorrect when its probability of being right is below this."""

_FILL, _JUDGE, _REJECT = "fill\n", "judge\n", "reject "
_LINE = re.compile(r"(\d+) ([-+*/]) (\d+) (\d+) (?:\d+ )*(?:=\d+\n)?")
_CELL = re.compile(r"r([1-4])c([1-4])=([1-4])\n")


def vocabulary() -> tuple[str, ...]:
    """Return every token of the pair in id order; ids 0 and 1 are padding and the end token."""
    words = ["<pad>", END, "<unk>", "numbers ", "sudoku ", _FILL, _JUDGE, _REJECT, f"{ACCEPT}\n"]
    words += [f"{code}\n" for code in REASONS]
    words += [f"{op} " for op in "+-*/"]
    words += [f"r{r}c{c}={v}\n" for r in range(1, 5) for c in range(1, 5) for v in range(1, 5)]
    words += [f"={target}\n" for target in range(1, countdown.MAX_TARGET + 1)]
    words += [f"{number} " for number in range(1, MAX_VALUE + 1)]
    return tuple(words)


def parse_problem(text: str) -> Puzzle | None:
    """Read a problem text of either family; None if it is neither."""
    return countdown.parse(text) or sudoku.parse(text)


def step_count(puzzle: Puzzle) -> int:
    """Return how many steps a whole solution has."""
    return len(puzzle.numbers) - 1 if isinstance(puzzle, countdown.Countdown) else len(puzzle.empty)


def problem_prompt(puzzle: Puzzle) -> str:
    """Return the beginning of every text about a problem."""
    if isinstance(puzzle, countdown.Countdown):
        return f"numbers {_state_text(tuple(sorted(puzzle.numbers)))}={puzzle.target}\n"
    clues = [f"r{i // 4 + 1}c{i % 4 + 1}={v}\n" for i, v in enumerate(puzzle.clues) if v != "."]
    return f"sudoku {''.join(clues)}{_FILL}"


def _state_text(state: Sequence[int]) -> str:
    return "".join(f"{n} " for n in state)


def render_lines(puzzle: Puzzle, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the model-side line of each step, up to the first step that the models have no words for.

    Restating the numbers left is bookkeeping: an operand that is not there is simply not removed, which says nothing
    about the step beyond what it shows itself.
    """
    lines: list[str] = []
    if isinstance(puzzle, sudoku.Sudoku):
        for text in steps[: step_count(puzzle)]:
            fill = sudoku.parse_step(text)
            if fill is None:
                break
            lines.append(f"r{fill.cell // 4 + 1}c{fill.cell % 4 + 1}={fill.value}\n")
        return tuple(lines)
    state = tuple(sorted(puzzle.numbers))
    for text in steps[: step_count(puzzle)]:
        equation = countdown.parse_step(text)
        if equation is None or not _has_words(equation):
            break
        left, right = equation.left, equation.right
        if equation.op in "+*" and left < right:
            left, right = right, left
        state = countdown.after(state, equation)
        rest = list(state)
        rest.remove(equation.result)
        tail = f"{_state_text(rest)}={puzzle.target}\n" if len(lines) + 1 < step_count(puzzle) else ""
        lines.append(f"{left} {equation.op} {right} {equation.result} {tail}")
    return tuple(lines)


def _has_words(equation: countdown.Equation) -> bool:
    return all(1 <= n <= MAX_VALUE for n in (equation.left, equation.right, equation.result))


def critic_prompt(puzzle: Puzzle, lines: Sequence[str]) -> str:
    """Return what the critic reads before it answers one verdict token per line."""
    return f"{problem_prompt(puzzle)}{''.join(lines)}{_JUDGE}"


def reject_block(line: str, code: str) -> str:
    """Return the critique of one rejected line as the actor reads it, between the kept lines and the new ones."""
    found = _LINE.fullmatch(line)
    return f"{_REJECT}{f'{found[1]} {found[2]} {found[3]} {found[4]} ' if found else line}{code}\n"


def explain(code: str, step: str) -> str:
    """Return a reason for a person; it begins with the code, so that the actor's prompt can be built from it."""
    return f"{code}: {REASONS[code].replace('{step}', step)}"


def reason_code(explanation: str | None) -> str:
    """Return the reason code that an explanation begins with, `wrong` for any other text."""
    code = (explanation or "").partition(":")[0]
    return code if code in REASONS else "wrong"


def _puzzle(problem: Problem) -> Puzzle:
    puzzle = parse_problem(problem.text)
    if puzzle is None:
        raise InputError(
            "the embedded pair solves only problems such as 'Use 7, 13 and 14 to make 15.' "
            "and 'Fill the sudoku 1.../..2./.3../4...'"
        )
    return puzzle


def _read_line(raw: str) -> str:
    """Return the step that a person reads; unreadable text stays as it is."""
    found = _LINE.fullmatch(raw)
    if found:
        return countdown.Equation(int(found[1]), found[2], int(found[3]), int(found[4])).render()
    found = _CELL.fullmatch(raw)
    if found:
        return f"r{found[1]}c{found[2]} = {found[3]}"
    return raw.strip()


class EmbeddedActorFormat:
    """How problems and critiques are put to the embedded actor."""

    @property
    def stop(self) -> tuple[str, ...]:
        """None: the actor ends with its end token."""
        return ()

    @property
    def step_stop(self) -> tuple[str, ...]:
        """Every line but a countdown's last ends with a newline; the last ends with the end token."""
        return ("\n",)

    def propose(self, problem: Problem) -> Prompt:
        """Ask for a solution.

        Raises:
            InputError: the problem belongs to neither family.
        """
        return Prompt(content=problem_prompt(_puzzle(problem)))

    def extend(self, problem: Problem, solution: Solution) -> Prompt:
        """Ask to go on from the last readable step."""
        puzzle = _puzzle(problem)
        lines = render_lines(puzzle, [step.text for step in solution.steps])
        return Prompt(content=problem_prompt(puzzle), prefill="".join(lines))

    def revise(self, problem: Problem, solution: Solution, critique: Critique, revise_from: int) -> Prompt:
        """Ask to go on from step `revise_from`, told the rejected step and why; the kept steps are a shared prefix."""
        puzzle = _puzzle(problem)
        return Prompt(
            content=problem_prompt(puzzle), prefill=_revision(puzzle, solution, critique, revise_from, kept=revise_from)
        )

    def refine(self, problem: Problem, solution: Solution, critique: Critique) -> Prompt:
        """Ask for a whole new solution, told the first wrong step and why."""
        puzzle = _puzzle(problem)
        if critique.first_error is None:
            return Prompt(content=problem_prompt(puzzle))
        return Prompt(
            content=problem_prompt(puzzle), prefill=_revision(puzzle, solution, critique, critique.first_error, kept=0)
        )

    def read(self, problem: Problem, kept: Solution | None, generation: Generation) -> Solution:
        """Split a completion into steps after the kept ones; the answer is the last equation, or the filled grid."""
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
    """Return what a person asked for: the last equation, or the filled grid as the problem writes it."""
    if isinstance(puzzle, sudoku.Sudoku):
        grid = sudoku.vote_key(puzzle, [step.text for step in steps])
        if grid is not None:
            return "/".join(grid[row : row + 4] for row in range(0, 16, 4))
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
                text=_read_line(raw),
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


class EmbeddedCriticFormat:
    """How solutions are put to the embedded critic, and how its verdict tokens are read."""

    @property
    def top_logprobs(self) -> int:
        """Enough alternatives to find the probability of `ok`."""
        return 5

    def ask(self, problem: Problem, solution: Solution) -> Prompt:
        """Ask for one verdict per readable step.

        Raises:
            InputError: the problem belongs to neither family.
        """
        puzzle = _puzzle(problem)
        return Prompt(content=critic_prompt(puzzle, render_lines(puzzle, [s.text for s in solution.steps])))

    def max_tokens(self, solution: Solution) -> int:
        """One token per step and the end token."""
        return len(solution.steps) + 1

    def json_schema(self, solution: Solution) -> None:
        """None: the critic has a vocabulary of its own."""

    def read(self, problem: Problem, solution: Solution, generation: Generation) -> Critique:
        """Read one verdict token per step; a missing or foreign word leaves its step and the solution unscored."""
        puzzle = _puzzle(problem)
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
