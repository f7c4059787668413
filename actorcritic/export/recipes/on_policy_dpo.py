"""Pairs of the current policy's own answers: right against wrong, or best against worst.

Tajwar et al. 2024 (arXiv 2404.14367): samples of the policy that is to be trained, suboptimal ones too, and a loss that
pushes the bad ones down. K samples per problem from the policy of this round, a pair out of them, one epoch, then new
samples. A row names the policy that wrote it; a pair never mixes two. With `stale=limited` a row is refused where the
model to be tuned has moved away from it: by the mean distance per token between the log-probabilities in the log and
those of the collection step `rescore`. With `reference=logged` the policy of the log is the reference of DPO.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from actorcritic.export.chat import mentions_help, solution_text
from actorcritic.export.critics import known_attempts
from actorcritic.export.needs import derived, scored
from actorcritic.export.reading import helped, rescored
from actorcritic.export.recipe import Columns, Drop, Form, Recipe, Result, Row, Setting
from actorcritic.export.wordings import ANY
from actorcritic.search.options import choice, integer, number
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue

__all__ = ["RECIPE", "staleness"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """An answer of a policy."""

    attempt: EpisodeAttempt
    text: str
    policy: str
    score: float
    """What the gold side gave it, in [0, 1]."""


def staleness(logged: Sequence[float], now: Sequence[float]) -> float | None:
    """Return the mean distance per token of two lists of log-probabilities, in nats; None where they do not match."""
    if not logged or len(logged) != len(now):
        return None
    return fmean(abs(one - other) for one, other in zip(now, logged, strict=True))


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the pairs of a problem, of each policy apart."""
    by_policy: dict[str, list[_Sample]] = {}
    now = rescored(episode) if setting.options.text("stale") == "limited" else {}
    for known in known_attempts(episode):
        if isinstance(known, Drop):
            yield known
            continue
        sample = _sample(episode, known[0], now, setting)
        if isinstance(sample, Drop):
            yield sample
        elif len(by_policy.setdefault(sample.policy, [])) >= setting.options.whole("samples"):
            yield Drop("over the samples of its problem")
        else:
            by_policy[sample.policy].append(sample)
    for policy, samples in by_policy.items():
        pairs = _pairs(samples, setting, (episode.problem.id, policy))[: setting.options.whole("cap")]
        if not pairs:
            yield Drop("samples of one kind only")
        for better, worse in pairs:
            yield _row(episode, better, worse, setting)


def _sample(
    episode: Episode, attempt: EpisodeAttempt, now: Mapping[int, Sequence[float]], setting: Setting
) -> _Sample | Drop:
    """Return an attempt as a sample of its policy, or why it is none."""
    assert attempt.solution is not None
    text = solution_text(attempt.solution)
    policy = _policy(episode, attempt)
    if helped(episode, attempt) or mentions_help(text):
        return Drop("written after a critique")
    if policy is None:
        return Drop("policy unknown")
    if setting.options.text("reference") == "logged" and not _logged(attempt):
        return Drop("no log-probabilities")
    if setting.options.text("stale") == "limited":
        distance = staleness(_logged(attempt), now[attempt.id]) if attempt.id in now else None
        if distance is None:
            return Drop("staleness unknown")
        if distance > setting.options.real("limit"):
            return Drop("stale")
    return _Sample(attempt=attempt, text=text, policy=policy, score=_score(attempt))


def _policy(episode: Episode, attempt: EpisodeAttempt) -> str | None:
    """Return the model that wrote an attempt: as its calls say, else as the run does."""
    models = [call.model for call in attempt.calls if call.role == "actor"]
    models += [origin.model for origin in episode.provenance.models if origin.role == "actor"]
    return next((model for model in models if model), None)


def _logged(attempt: EpisodeAttempt) -> tuple[float, ...]:
    """Return the log-probabilities of a whole attempt; empty where they are not all known or it took steps over."""
    return attempt.logprobs if attempt.solution is not None and not attempt.solution.kept else ()


def _score(attempt: EpisodeAttempt) -> float:
    return next((score.score for score in reversed(attempt.scores) if score.gold), 0.0)


def _pairs(samples: Sequence[_Sample], setting: Setting, key: tuple[str, str]) -> list[tuple[_Sample, _Sample]]:
    """Return disjoint pairs of a better and a worse sample, none twice."""
    if setting.options.text("pairs") == "extremes":
        ranked = sorted(samples, key=lambda sample: -sample.score)
        return [
            (better, worse)
            for better, worse in zip(ranked[: len(ranked) // 2], reversed(ranked), strict=False)
            if better.score - worse.score > setting.options.real("margin")
        ]
    sides = [[s for s in samples if bool(s.attempt.correct) is good] for good in (True, False)]
    random = setting.draw(*key)
    for side in sides:
        random.shuffle(side)
    return list(zip(*sides, strict=False))


def _row(episode: Episode, better: _Sample, worse: _Sample, setting: Setting) -> Row:
    columns: dict[str, JsonValue] = {
        "prompt": setting.words.ask(episode.problem),
        "chosen": _written(episode, better, setting),
        "rejected": _written(episode, worse, setting),
        "score_chosen": better.score,
        "score_rejected": worse.score,
        "policy": better.policy,
    }
    if setting.options.text("reference") == "logged":
        columns["ref_chosen_logps"] = float(sum(_logged(better.attempt)))
        columns["ref_rejected_logps"] = float(sum(_logged(worse.attempt)))
    return Row(columns=columns, attempts=(better.attempt.id, worse.attempt.id), filters=("one policy", "paired"))


def _written(episode: Episode, sample: _Sample, setting: Setting) -> JsonValue:
    assert sample.attempt.solution is not None  # else it were no sample
    return setting.words.answer(episode.problem, sample.attempt.solution)


def _settings(rows: Sequence[Columns]) -> dict[str, JsonValue]:
    logged = any("ref_chosen_logps" in row for row in rows)
    return {"beta": 0.1, "num_train_epochs": 1, "precompute_ref_log_probs": logged}


RECIPE = Recipe(
    name="on-policy-dpo",
    paper="Tajwar et al. 2024, arXiv:2404.14367",
    summary="preference: right and wrong answers of the current policy",
    forms={"dpo": Form(dataset="preference", trainer="DPOTrainer")},
    rows=_rows,
    wordings=ANY,
    needs=(scored(), replace(derived("rescore"), when=("stale", "limited"))),
    options=(
        choice(
            "pairs", ("random", "extremes"), "random = a right and a wrong one; extremes = by score, best and worst."
        ),
        integer("samples", 8, "Samples per problem and policy at most, the first ones.", low=2),
        integer("cap", 1, "Pairs per problem and policy at most."),
        number("margin", 0.0, "Scores must differ by more than this; for pairs=extremes.", low=0, high=1),
        choice("reference", ("model", "logged"), "DPO's reference: what the trainer loads, or the policy of the log."),
        choice("stale", ("allowed", "limited"), "Whether samples must be near to what the model says now."),
        number("limit", 0.1, "Nats per token, for stale=limited.", low=0),
    ),
    trainer_settings=_settings,
)
