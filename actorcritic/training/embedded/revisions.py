"""Whether the actor uses a critique: what it does at a rejected step when told, and when only cut back to it."""

from __future__ import annotations

from collections.abc import Sequence

from actorcritic.formats.embedded import explain
from actorcritic.formats.lines import Puzzle
from actorcritic.metrics import wilson
from actorcritic.tasks.heldout import Split
from actorcritic.training.embedded.attempts import attempt_labels, solved
from actorcritic.training.embedded.data import LABELS, encode
from actorcritic.training.embedded.figures import Figure, held_out
from actorcritic.training.embedded.model import Llama
from actorcritic.training.embedded.pair import ACTOR, LIMIT, attempt, problem_of, read_solution, texts
from actorcritic.training.embedded.sampling import generate
from actorcritic.types import Critique, Prompt, Solution, StepCritique, Verdict

__all__ = ["revision_figures", "true_critique"]


def true_critique(puzzle: Puzzle, solution: Solution) -> Critique:
    """Return the exact critique: an oracle's, for ceilings and for this measurement only."""
    codes = attempt_labels(puzzle, texts(solution))
    steps = tuple(
        StepCritique(verdict=Verdict.CORRECT, score=1.0)
        if code == "ok"
        else StepCritique(
            verdict=Verdict.INCORRECT, score=0.0, explanation=explain(code if code in LABELS else "wrong", step.text)
        )
        for code, step in zip(codes, solution.steps, strict=True)
    )
    right = solved(puzzle, texts(solution))
    first = next((i for i, step in enumerate(steps) if step.verdict is Verdict.INCORRECT), len(steps))
    return Critique(
        steps=steps,
        verdict=Verdict.CORRECT if right else Verdict.INCORRECT,
        score=1.0 if right else 0.5 * first / (1 + len(steps)),
        oracle=True,
    )


def revision_figures(
    actor: Llama, families: Sequence[str], split: Split, count: int, *, temperature: float = 1.0
) -> list[Figure]:
    """Return, over wrong greedy attempts: how often the rejected step comes again and how often the rest is right.

    Once told the step and the reason, once only cut back to the steps before it.
    """
    figures: list[Figure] = []
    for family in families:
        puzzles = held_out(family, split, count)
        solutions = attempt(actor, puzzles, temperature=0, seed=0)
        cases: list[tuple[Puzzle, Solution, Critique, int]] = []
        for puzzle, solution in zip(puzzles, solutions, strict=True):
            critique = true_critique(puzzle, solution)
            at = critique.first_error
            if at is not None:
                cases.append((puzzle, solution, critique, at))
        for told in (True, False):
            again, right = _outcomes(actor, cases, told, temperature)
            name = "told" if told else "not told"
            for figure, hits in ((f"rejected step again, {name}", again), (f"solved after revision, {name}", right)):
                share = hits / max(1, len(cases))
                figures.append(Figure(family, figure, share, *wilson(hits, max(1, len(cases))), len(cases)))
    return figures


def _outcomes(
    actor: Llama, cases: list[tuple[Puzzle, Solution, Critique, int]], told: bool, temperature: float
) -> tuple[int, int]:
    prompts = [_prompt(*case, told) for case in cases]
    texts_ = [encode(f"{prompt.content}{prompt.prefill}") for prompt in prompts]
    drawn = generate(actor, texts_, limit=LIMIT, temperature=temperature, seed=5)
    again = right = 0
    for (puzzle, solution, _, at), one in zip(cases, drawn, strict=True):
        revised = read_solution(puzzle, one, Solution(steps=solution.steps[:at]))
        steps = texts(revised)
        again += len(steps) > at and steps[at] == solution.steps[at].text
        right += revised.complete and solved(puzzle, steps)
    return again, right


def _prompt(puzzle: Puzzle, solution: Solution, critique: Critique, at: int, told: bool) -> Prompt:
    problem = problem_of(puzzle)
    if told:
        return ACTOR.revise(problem, solution, critique, at)
    return ACTOR.extend(problem, Solution(steps=solution.steps[:at], complete=False))
