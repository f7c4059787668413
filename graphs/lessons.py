"""What failed attempts taught, put before a problem: the reflections that a trial is to see (see `search.lessons`).

The lessons stand after the last user message, quoted, for whoever works on the trial. Knows no policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from actorcritic.formats.chat import render_critique
from actorcritic.graphs.trial import Attempt
from actorcritic.search.policy import LESSONS
from actorcritic.templates import load_template, quote
from actorcritic.types import Problem, Trial

__all__ = ["with_lessons"]


def with_lessons(problem: Problem, trial: Trial, attempts: Mapping[int, Attempt]) -> Problem:
    """Return the problem as a trial is to see it: with the lessons that its options name, where there are any."""
    named = trial.options.get(LESSONS)
    known = [
        attempts[one] for one in (named if isinstance(named, list) else []) if isinstance(one, int) and one in attempts
    ]
    lessons = "\n\n".join(_lesson(number, attempt) for number, attempt in enumerate(known, start=1))
    if not lessons:
        return problem
    template = load_template("lessons")
    if isinstance(problem.prompt, str):
        return replace(problem, prompt=template.fill(question=problem.prompt, lessons=lessons))
    place = max((i for i, message in enumerate(problem.prompt) if message.role == "user"), default=-1)
    if place < 0:
        return problem
    asked = problem.prompt[place]
    told = replace(asked, content=template.fill(question=asked.content, lessons=lessons))
    return replace(problem, prompt=(*problem.prompt[:place], told, *problem.prompt[place + 1 :]))


def _lesson(number: int, attempt: Attempt) -> str:
    done = quote(attempt.solution.text, "attempt")
    said = "No remarks." if attempt.critique is None else render_critique(attempt.solution, attempt.critique)
    return f"Attempt {number}:\n{done}\n\nWhat was wrong with it:\n{quote(said, 'critique')}"
