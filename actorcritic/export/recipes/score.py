"""SCoRe: questions for learning to correct oneself in two turns, by reinforcement on the model's own traces.

Kumar et al. 2024 (arXiv 2409.12917). The trainer samples a first attempt, sends `correction`, samples a second. Stage 1
rewards the second turn alone and holds the first to the base model (beta_2); stage 2 rewards both, with a bonus for
progress on the second (`turn_returns`). Stage 2 may also start from logged first attempts of the base model
(`first=logged`): their prompt holds the attempt and the correction, `first_reward` what the attempt got, and `turn` 2.
The reward is the task's checker's; the row names it, with the gold answer, in columns that no model reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from actorcritic.errors import InputError
from actorcritic.export.chat import assistant, solution_text, user
from actorcritic.export.needs import scored
from actorcritic.export.reading import helped, refusal
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer
from actorcritic.tasks.checkers import checker_of, has_gold
from actorcritic.templates import load_template
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Action, Reference

__all__ = ["ALPHA", "RECIPE", "turn_returns"]

TEMPLATE = "export_score"
ALPHA = 10.0
"""Weight of the progress from the first turn to the second."""
BETA_1, BETA_2 = 0.01, 0.1
"""Weights of the divergence from the base model: everywhere, and on the first turn in stage 1."""


def turn_returns(first: float, second: float, *, stage: int = 2, alpha: float = ALPHA) -> tuple[float, float]:
    """Return what each turn is rewarded with, before a baseline is taken off.

    Args:
        first: Reward of the first attempt, in [0, 1].
        second: Reward of the second attempt, in [0, 1].
        stage: 1 or 2.
        alpha: Weight of the progress, in stage 2.
    """
    return (0.0, second) if stage == 1 else (first, second + alpha * (second - first))


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield a problem's question, and its logged first attempts where they are asked for."""
    gold = Reference() if episode.gold is None else episode.gold
    if not has_gold(episode.problem, gold):
        yield Drop("problem without a gold side")
        return
    if not episode.attempts:
        yield Drop("problem without an attempt")
        return
    yield _row(episode, None, setting)
    if setting.options.text("first") == "sampled":
        return
    if setting.options.text("stage") == "1":
        raise InputError("in stage 1 every first attempt is sampled: give stage=2 or first=sampled")
    if setting.words.name != "chat":
        raise InputError("first=logged has chats alone: leave out the wording, or give first=sampled")
    seen: set[str] = set()
    for attempt in episode.attempts:
        if attempt.action is Action.JUDGE:
            continue
        drop = refusal(attempt) or (Drop("no first attempt") if helped(episode, attempt) else None)
        text = "" if attempt.solution is None else solution_text(attempt.solution)
        if drop is None and (text in seen or len(seen) >= setting.options.whole("cap")):
            drop = Drop("same first attempt twice" if text in seen else "over the cap of its problem")
        if drop is None:
            seen.add(text)
        yield drop or _row(episode, attempt, setting)


def _row(episode: Episode, first: EpisodeAttempt | None, setting: Setting) -> Row:
    """Return the question, or the question with a logged first attempt and the correction after it."""
    correction, prompt = load_template(TEMPLATE).text, setting.words.ask(episode.problem)
    if first is not None and first.solution is not None:
        prompt = [*setting.prompt(episode.problem), *assistant(solution_text(first.solution)), *user(correction)]
    gold = None if episode.gold is None else episode.gold.answer
    return Row(
        columns={
            "prompt": prompt,
            "problem": episode.problem.text,
            "answer": gold or "",
            "checker": checker_of(episode.problem),
            "correction": correction,
            "stage": int(setting.options.text("stage")),
            "turn": 1 if first is None else 2,
            "first_reward": float(first is not None and first.correct is True),
        },
        attempts=(episode.attempts[0].id if first is None else first.id,),
        filters=("gold side known",) if first is None else ("correctness known", "distinct"),
    )


RECIPE = Recipe(
    name="score",
    paper="Kumar et al. 2024, arXiv:2409.12917",
    summary="questions for learning to correct oneself in two turns, with what rewards need",
    forms={"grpo": Form(dataset="prompt-only", trainer="GRPOTrainer")},
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt"}),
    shows_when={"attempt": ("first", "logged")},
    templates=(TEMPLATE,),
    needs=(replace(scored(), when=("first", "logged")),),
    options=(
        choice("stage", ("1", "2"), "1 = learn to correct, first turn held; 2 = both, with a bonus for progress."),
        choice("first", ("sampled", "logged"), "logged = in stage 2, also logged first attempts of the base model."),
        integer("cap", 4, "Logged first attempts per problem at most."),
    ),
    trainer_settings=lambda rows: {"temperature": 1.0, "beta": BETA_1},
    conditions={"alpha": ALPHA, "beta_1": BETA_1, "beta_2": BETA_2},
)
