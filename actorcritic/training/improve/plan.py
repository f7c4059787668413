"""What a self-improvement run does, as a list of named stages, and which model each of them works with.

Algorithm 1 of Xi et al. 2024 (arXiv 2411.16579). Every training starts from the base again. The base's own samples give
the original refinement data; `sft` learns from the worked solutions and those alone, `vanilla` and `critique` add what
a round explored, without the critique and with it; `critic` trains the critic in place of the actor. A round whose
model is worse on the development problems is not promoted: the next one explores with the model before. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from actorcritic.errors import InputError

__all__ = [
    "BASE",
    "METHODS",
    "Kind",
    "Players",
    "Stage",
    "candidates",
    "finals",
    "measured",
    "parse_methods",
    "plan_stages",
    "players",
    "predecessor",
]

Kind: TypeAlias = Literal["samples", "critiques", "refinements", "difficulty", "data", "train", "evaluate"]
"""What a stage does: `samples` explores training problems, `critiques` and `refinements` add to them, `difficulty`
samples the held-out problems with the base, `data` exports, `train` trains, `evaluate` measures."""

METHODS: Mapping[str, str] = {
    "sft": "worked solutions and the base's refinements, nothing explored",
    "vanilla": "self-improvement without critiques: sampling and checking",
    "critique": "self-improvement with the critique in the loop",
    "critic": "the critic learns from its critiques that led to a right revision; the actor stays",
}
"""What can be compared, in this order."""

BASE = "base"
"""The method of the model that all others start from; its round is 0."""

_EXPLORING: Mapping[str, tuple[Kind, ...]] = {
    BASE: ("samples", "critiques", "refinements"),
    "sft": (),
    "vanilla": ("samples",),
    "critique": ("samples", "critiques", "refinements"),
    "critic": ("samples", "critiques", "refinements"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One piece of work, with a folder of its own."""

    kind: Kind
    method: str
    """One of `METHODS`, or `BASE`."""
    round: int
    """From 1; 0 for the base and for `sft`, which explores nothing."""
    seed: int

    @property
    def name(self) -> str:
        """Its folder below the run's `stages`, such as `critique/round-2/seed-0/train`."""
        return f"{self.method}/round-{self.round}/seed-{self.seed}/{self.kind}"

    def other(self, kind: Kind) -> Stage:
        """Return the stage of another kind beside this one."""
        return Stage(kind=kind, method=self.method, round=self.round, seed=self.seed)


def parse_methods(text: str) -> tuple[str, ...]:
    """Return the methods that a text such as `sft,vanilla,critique` names, in the order of `METHODS`.

    Raises:
        InputError: one is unknown or stands twice, or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names or len(set(names)) < len(names):
        said = f"unknown method {unknown[0]!r}" if unknown else "name each method once"
        raise InputError(f"{said}; choose from: {', '.join(METHODS)}")
    return tuple(name for name in METHODS if name in names)


def plan_stages(methods: Sequence[str], rounds: int, seeds: Sequence[int]) -> tuple[Stage, ...]:
    """Return all stages in the order in which they are done: round by round, so that methods can soon be compared.

    Args:
        methods: Of `METHODS`, in their order.
        rounds: >= 1; `sft` has but one, which is no round of exploring.
        seeds: The first is that of everything; the last round is done once with each.
    """
    first = seeds[0]
    stages = [Stage(kind=kind, method=BASE, round=0, seed=first) for kind in ("difficulty", "evaluate")]
    # The original data: what the base alone brings, for every method the same.
    stages += [Stage(kind=kind, method=BASE, round=0, seed=first) for kind in _EXPLORING[BASE]]
    for number in range(rounds + 1):
        for method in (name for name in methods if number in _rounds(name, rounds)):
            for seed in seeds if number == _rounds(method, rounds)[-1] else seeds[:1]:
                kinds: tuple[Kind, ...] = (*_EXPLORING[method], "data", "train", "evaluate")
                stages += [Stage(kind=kind, method=method, round=number, seed=seed) for kind in kinds]
    return tuple(stages)


def _rounds(method: str, rounds: int) -> range:
    return range(1) if method == "sft" else range(1, rounds + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Players:
    """Whose models play, by the stage that trained them; None = the base's."""

    actor: Stage | None = None
    critic: Stage | None = None


def players(stage: Stage, promoted: Mapping[str, bool], first: int) -> Players:
    """Return who explores in a round: the best so far, never merely the last.

    Args:
        stage: Of the round.
        promoted: By the name of an evaluation that is done, whether its model was no worse than the one before.
        first: The seed of all rounds but the last.
    """
    if stage.method in (BASE, "sft"):
        return Players()
    begun = _last_promoted([_evaluation("sft", 0, first)], promoted)
    rounds = [_evaluation(stage.method, number, first) for number in range(1, stage.round)]
    best = _last_promoted(rounds, promoted)
    return Players(actor=begun, critic=best) if stage.method == "critic" else Players(actor=best or begun)


def candidates(stage: Stage, promoted: Mapping[str, bool], first: int) -> Players:
    """Return who plays in an evaluation: the round's players, with the model that the round has trained."""
    if stage.method == BASE:
        return Players()
    trained, before = stage.other("train"), players(stage, promoted, first)
    return replace(before, critic=trained) if stage.method == "critic" else replace(before, actor=trained)


def predecessor(stage: Stage, promoted: Mapping[str, bool], first: int) -> Stage | None:
    """Return the evaluation of the players that a round began with, None for the base, which began with nobody."""
    if stage.method == BASE:
        return None
    before = players(stage, promoted, first)
    trained = before.critic or before.actor
    return _evaluation(BASE, 0, first) if trained is None else trained.other("evaluate")


def _evaluation(method: str, number: int, seed: int) -> Stage:
    return Stage(kind="evaluate", method=method, round=number, seed=seed)


def _last_promoted(evaluations: Sequence[Stage], promoted: Mapping[str, bool]) -> Stage | None:
    """Return the training of the last model that was promoted."""
    done = [stage.other("train") for stage in evaluations if promoted.get(stage.name, False)]
    return done[-1] if done else None


def measured(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Return the evaluations, in order."""
    return tuple(stage for stage in stages if stage.kind == "evaluate")


def finals(stages: Sequence[Stage]) -> Mapping[str, int]:
    """Return the last round of every method, the base's among them."""
    last: dict[str, int] = {}
    for stage in measured(stages):
        last[stage.method] = max(stage.round, last.get(stage.method, 0))
    return last
