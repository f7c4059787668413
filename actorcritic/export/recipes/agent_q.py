"""Agent Q: pairs of sibling actions in a search tree whose values lie far apart.

Putta et al. 2024 (arXiv 2408.07199). Q = alpha * Q_mcts + (1 - alpha) * Q_critic: the mean outcome backed up through a
node, and the critic's rank of it among its siblings; a pair where both were explored and Q differs by more than theta.
Won and lost searches alike. DPO then takes the logged log-probabilities for its reference (columns `ref_*_logps`), or
with `reference=rescored` those of the collection step `rescore`: of another model, or where the log has none.
Deviations: alpha counts as 1 where the critic scored none of the siblings; pairs of very unlike length are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from actorcritic.export.needs import derived, valued
from actorcritic.export.reading import actions_at, own_text, rescored, state_prompt
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer, number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue

__all__ = ["RECIPE", "mixed_values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    """An explored action."""

    attempt: EpisodeAttempt
    text: str
    score: float
    """Q, in [0, 1]."""


def mixed_values(values: Sequence[float], critic: Sequence[float | None], alpha: float) -> list[float]:
    """Return Q of each sibling.

    Args:
        values: Mean outcomes, in [0, 1].
        critic: The critic's scores; None = unscored, which ranks last.
        alpha: Weight of the mean outcome, in [0, 1].
    """
    if all(score is None for score in critic):
        return list(values)
    below = [sum(_key(other) < _key(score) for other in critic) for score in critic]
    level = [sum(_key(other) == _key(score) for other in critic) - 1 for score in critic]
    # Equal scores share the mean of their ranks, so that their order does not matter.
    ranks = [(low + same / 2) / max(1, len(critic) - 1) for low, same in zip(below, level, strict=True)]
    return [alpha * value + (1 - alpha) * rank for value, rank in zip(values, ranks, strict=True)]


def _key(score: float | None) -> float:
    return -1.0 if score is None else score


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the pairs of every state of a problem's search tree."""
    parents = dict.fromkeys(attempt.parent for attempt in episode.attempts)
    for parent in parents:
        actions = actions_at(episode, parent)
        children = _explored(actions, setting)
        yield from (Drop("action not explored") for _ in range(len(actions) - len(children)))
        pairs = sorted(
            (sorted(pair, key=lambda child: -child.score) for pair in combinations(children, 2)),
            key=lambda pair: pair[1].score - pair[0].score,
        )
        made = 0
        for better, worse in pairs:
            result = _pair(episode, better, worse, setting)
            if isinstance(result, Row) and made >= setting.options.whole("cap"):
                result = Drop("over the cap of its state")
            made += isinstance(result, Row)
            yield result


def _explored(actions: Sequence[EpisodeAttempt], setting: Setting) -> list[_Child]:
    """Return the actions that were visited often enough, with their values."""
    least = setting.options.whole("visits")
    seen = [a for a in actions if a.solution is not None and a.value is not None and (a.visits or 0) >= least]
    critic = [None if a.outcome is None else a.outcome.score for a in seen]
    values = mixed_values([a.value or 0.0 for a in seen], critic, setting.options.real("alpha"))
    return [
        _Child(attempt=attempt, text=own_text(attempt.solution), score=value)
        for attempt, value in zip(seen, values, strict=True)
        if attempt.solution is not None
    ]


def _pair(episode: Episode, better: _Child, worse: _Child, setting: Setting) -> Row | Drop:
    """Return a pair of siblings, or why it is none."""
    shorter, longer = sorted((len(better.text), len(worse.text)))
    if better.score - worse.score <= setting.options.real("theta"):
        return Drop("values too close")
    if better.text == worse.text:
        return Drop("same action twice")
    if longer > setting.options.real("length_ratio") * shorter:
        return Drop("actions of very unlike length")
    references = _references(episode, better, worse, setting.options.text("reference"))
    if references is None:
        return Drop("no log-probabilities")
    columns: Columns = {
        "prompt": state_prompt(episode, better.attempt, setting),
        "chosen": _written(episode, better, setting),
        "rejected": _written(episode, worse, setting),
        "score_chosen": better.score,
        "score_rejected": worse.score,
        **references,
    }
    parent = better.attempt.parent
    trials = (better.attempt.id, worse.attempt.id)
    attempts = trials if parent is None else (parent, *trials)
    return Row(columns=columns, attempts=attempts, filters=("both explored", "margin", "length"))


def _written(episode: Episode, child: _Child, setting: Setting) -> JsonValue:
    solution = child.attempt.solution
    assert solution is not None  # it was explored
    return setting.words.answer(episode.problem, solution, solution.kept)


def _references(episode: Episode, better: _Child, worse: _Child, source: str) -> Mapping[str, float] | None:
    """Return the sums of the reference's log-probabilities, nothing for source=none, None where one is not known."""
    if source == "none":
        return {}
    logged = {child.attempt.id: child.attempt.logprobs for child in (better, worse)}
    known = logged if source == "logged" else rescored(episode)
    chosen, rejected = known.get(better.attempt.id), known.get(worse.attempt.id)
    if not chosen or not rejected:
        return None
    return {"ref_chosen_logps": float(sum(chosen)), "ref_rejected_logps": float(sum(rejected))}


RECIPE = Recipe(
    name="agent-q",
    paper="Putta et al. 2024, arXiv:2408.07199",
    summary="preference: sibling actions of a search tree",
    forms={"dpo": Form(dataset="preference", trainer="DPOTrainer")},
    rows=_rows,
    wordings=ANY,
    shows=frozenset({"attempt"}),
    needs=(valued(), replace(derived("rescore"), when=("reference", "rescored"))),
    options=(
        number("alpha", 0.5, "Weight of the mean outcome beside the critic's rank.", low=0, high=1),
        number("theta", 0.3, "Values must differ by more than this.", low=0, high=1),
        integer("visits", 1, "Visits of both actions at least."),
        integer("cap", 4, "Pairs per state at most, the widest margins first."),
        number("length_ratio", 3.0, "The longer action is at most so many times the shorter.", low=1),
        choice(
            "reference",
            ("logged", "rescored", "none"),
            "Columns with the log-probabilities of both actions: those of the log, of the step rescore, or no columns.",
        ),
    ),
    trainer_settings=lambda rows: {"beta": 0.1, "precompute_ref_log_probs": any("ref_chosen_logps" in r for r in rows)},
)
