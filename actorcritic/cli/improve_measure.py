"""What an evaluation's run folders say of each problem: alone, and with the critic's one revision. Trains nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from actorcritic.cli.improve_runs import Answer, Casting, add_critiques, add_refinements
from actorcritic.training.improve.outcomes import Answered, Outcome, voted

__all__ = ["judge", "outcomes_of", "share_right"]


def judge(folder: Path, casting: Casting) -> None:
    """Let the critic judge every answer of a run, and the actor revise what it calls wrong, once."""
    add_critiques(folder, casting, "all")
    add_refinements(folder, casting, "all")


def outcomes_of(greedy: Mapping[str, Sequence[Answer]], samples: Mapping[str, Sequence[Answer]]) -> list[Outcome]:
    """Return what was found of every problem.

    Args:
        greedy: By problem, one greedy answer.
        samples: By problem, the samples.
    """
    return [
        Outcome(
            problem=problem,
            alone=_answered(first, samples[problem], with_critic=False),
            critic=_answered(first, samples[problem], with_critic=True),
        )
        for problem, (first, *_) in greedy.items()
    ]


def _answered(greedy: Answer, samples: Sequence[Answer], *, with_critic: bool) -> Answered:
    right = [each.right_with_critic if with_critic else each.right for each in samples]
    keys = [each.key_with_critic if with_critic else each.key for each in samples]
    return Answered(
        right=greedy.right_with_critic if with_critic else greedy.right,
        samples=right,
        majority=voted(keys, right),
        tokens=greedy.tokens + (greedy.critic_tokens if with_critic else 0),
    )


def share_right(answers: Mapping[str, Sequence[Answer]], *, with_critic: bool) -> float:
    """Return the share of right samples."""
    flags = [one.right_with_critic if with_critic else one.right for found in answers.values() for one in found]
    return round(sum(flags) / len(flags), 6) if flags else 0.0
