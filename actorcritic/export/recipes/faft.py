"""Feedback-aware fine-tuning: good and bad solutions, each after the feedback that it will get.

TravelPlanner's FAFT (Chen et al. 2024, arXiv 2408.06318), of the family of NAT (Wang et al. 2024, arXiv 2402.11651).
The feedback stands in the prompt: the violated constraints, or a fixed text that says there are none, which the model
is always given at inference (`inference_prompt`). Bad solutions without their feedback would do harm, so they are never
let in, and there are at most `ratio` of them for every good one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from actorcritic.export.chat import mentions_help, solution_text, written
from actorcritic.export.feedback import SOURCE, Feedback, feedback_needs, feedback_of
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import number
from actorcritic.templates import load_template, quote
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, JsonValue, Problem

__all__ = ["RECIPE", "inference_prompt"]

TEMPLATE, PASSED = "export_faft", "export_faft_passed"


def inference_prompt(problem: Problem, setting: Setting) -> list[JsonValue]:
    """Return the chat in which the trained model is asked: as in training, with nothing to complain of."""
    return _prompt(problem, Feedback(passed=True), setting)


def _prompt(problem: Problem, feedback: Feedback, setting: Setting) -> list[JsonValue]:
    """Return the chat in which the actor is asked, with the feedback after the last user message."""
    said = load_template(PASSED).text if feedback.passed else _quoted(feedback)
    prompt = setting.prompt(problem)
    for place in reversed(range(len(prompt))):
        message = prompt[place]
        if isinstance(message, dict) and message["role"] == "user":
            content = load_template(TEMPLATE).fill(request=str(message["content"]), feedback=said)
            return [*prompt[:place], {**message, "content": content}, *prompt[place + 1 :]]
    return prompt


def _quoted(feedback: Feedback) -> str:
    return quote("\n".join(f"- {message}" for message in feedback.messages), "feedback")


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's solutions with their feedback, each text once."""
    seen: set[str] = set()
    for attempt in episode.attempts:
        if attempt.action is Action.JUDGE:
            continue
        result = _row(episode, attempt, setting)
        if isinstance(result, Row):
            text = str(result.columns["completion"])
            if text in seen:
                result = Drop("same as another solution of its problem")
            seen.add(text)
        yield result


def _row(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> Row | Drop:
    """Return one solution with its feedback, or why it is none."""
    solution = attempt.solution
    if solution is None:
        return Drop("failed or cancelled")
    if not solution.complete:
        return Drop("unfinished")
    feedback = feedback_of(episode, attempt, setting.options.text("source"))
    if feedback is None:
        return Drop("nothing was said of it")
    if attempt.correct is not None and attempt.correct != feedback.passed:
        return Drop("feedback contradicts the gold side")
    if mentions_help(solution_text(solution)):
        return Drop("speaks of help that the prompt does not hold")
    if not feedback.passed and not feedback.messages:
        return Drop("bad, and nobody said why")
    return Row(
        columns={
            "prompt": _prompt(episode.problem, feedback, setting),
            "completion": written(episode.problem, solution),
            "polarity": "positive" if feedback.passed else "negative",
            "violated": "\n".join(feedback.messages),
        },
        attempts=(attempt.id,),
        filters=("feedback agrees", "distinct"),
    )


def _thin_out(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    """Return the rows in their order, without the bad ones that are too many; which, is drawn."""
    bad = [place for place, row in enumerate(rows) if row.columns["polarity"] == "negative"]
    room = min(len(bad), int(setting.options.real("ratio") * (len(rows) - len(bad))))
    kept = set(setting.draw("negatives").sample(bad, room))
    for place, row in enumerate(rows):
        negative = row.columns["polarity"] == "negative"
        yield Drop("too many bad ones for the good ones") if negative and place not in kept else row


RECIPE = Recipe(
    name="faft",
    paper="Chen et al. 2024, arXiv:2408.06318; Wang et al. 2024, arXiv:2402.11651",
    summary="good and bad solutions after the feedback that they get",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    shows=frozenset({"feedback", "critique"}),
    shows_when={"feedback": ("source", "feedback"), "critique": ("source", "critique")},
    templates=(TEMPLATE, PASSED),
    needs=feedback_needs(),
    options=(
        SOURCE,
        number("ratio", 2.0, "Bad solutions for every good one at most.", low=0),
    ),
    arrange=_thin_out,
    conditions={"inference_feedback": load_template(PASSED).text},
)
