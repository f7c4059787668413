"""LeTI: good and bad attempts, each after a mark that says which it is and what the environment said of it.

Wang et al. 2023 (arXiv 2305.10314). Text: `<|good|>` or `<|bad|>`, after `<|bad|>` the feedback between tags of its
own, then the question, then the attempt; all of it is learnt. At inference the question follows `<|good|>`
(`inference_prompt`). The four marks are to be added to the tokenizer, and their embeddings trained, with adapters too.
Sample anew in every round, and mix in pre-training text one to one. `source=none` is the paper's coarse variant.
"""

from __future__ import annotations

from collections.abc import Iterator

from actorcritic.export.chat import mentions_help, solution_text
from actorcritic.export.feedback import SOURCE, feedback_needs, feedback_of
from actorcritic.export.needs import scored
from actorcritic.export.reading import refusal, said_in
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Problem

__all__ = ["BAD", "FEEDBACK", "FEEDBACK_END", "GOOD", "RECIPE", "inference_prompt"]

GOOD, BAD = "<|good|>", "<|bad|>"
FEEDBACK, FEEDBACK_END = "<|lang_feedback|>", "<|/lang_feedback|>"
MARKS = (GOOD, BAD, FEEDBACK, FEEDBACK_END)


def inference_prompt(problem: Problem, setting: Setting) -> str:
    """Return the text that the trained model goes on from."""
    return f"{GOOD}{_question(problem, setting)}"


def _question(problem: Problem, setting: Setting) -> str:
    """Return the question as it stands before an attempt, up to where the attempt begins."""
    return f"{said_in(setting.prompt(problem))}\n\n"


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's attempts, good and bad, each text once."""
    seen: set[str] = set()
    for attempt in episode.attempts:
        if attempt.action is Action.JUDGE:
            continue
        result = refusal(attempt) or _row(episode, attempt, setting)
        if isinstance(result, Row):
            text = str(result.columns["text"])
            if text in seen:
                result = Drop("same as another row of its problem")
            seen.add(text)
        yield result


def _row(episode: Episode, attempt: EpisodeAttempt, setting: Setting) -> Row | Drop:
    """Return one attempt with its mark, or why it is none."""
    assert attempt.solution is not None
    written, question = solution_text(attempt.solution), _question(episode.problem, setting)
    feedback = feedback_of(episode, attempt, setting.options.text("source"))
    if feedback is not None and feedback.passed != attempt.correct:
        return Drop("feedback contradicts the gold side")
    if mentions_help(written):
        return Drop("speaks of help that the prompt does not hold")
    said = "" if feedback is None else "\n".join(feedback.messages)
    # Hostile input: a mark inside a text would end the feedback early, or call a bad attempt good.
    if any(mark in text for mark in MARKS for text in (said, question, written)):
        return Drop("holds one of the marks")
    marks = (GOOD if attempt.correct else BAD) + (f"{FEEDBACK}{said}{FEEDBACK_END}" if said else "")
    return Row(
        columns={"text": f"{marks}{question}{written}", "correct": attempt.correct is True},
        attempts=(attempt.id,),
        filters=("correctness known", "distinct"),
        asked=f"{said}\n\n{question}",
    )


RECIPE = Recipe(
    name="leti",
    paper="Wang et al. 2023, arXiv:2305.10314",
    summary="good and bad attempts after a mark and the environment's feedback",
    forms={"sft": Form(dataset="language-modeling", trainer="SFTTrainer")},
    rows=_rows,
    shows=frozenset({"feedback", "critique"}),
    shows_when={"feedback": ("source", "feedback"), "critique": ("source", "critique")},
    needs=(scored(), *feedback_needs()),
    options=(
        choice("source", (*SOURCE.choices, "none"), "Whose words: the environment's (collected), the critic's; none."),
    ),
    conditions={"special_tokens": list(MARKS), "inference_prefix": GOOD},
)
