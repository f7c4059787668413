"""What recipes need to find in a run, and the collection that brings it.

Collected events are of the kind `derived`; their payloads hold, beside `step`:

    critique        critic (name of the model), critique (as `critiqued` logs it)
    rationalise     solution (as `proposed` logs it), correct (bool): written with the answer as a hint
    step-rollouts   rollouts (N), successes (per step: how many of N completions from there reached the gold answer)
"""

from __future__ import annotations

from actorcritic.export.recipe import Need
from actorcritic.trajectory.episodes import Episode

__all__ = ["critiqued", "derived", "scored", "valued"]


def scored() -> Need:
    """Return the need of attempts of which it is known whether they are right."""
    return Need(
        what="attempts scored against a gold answer",
        found=lambda episode: any(attempt.correct is not None for attempt in episode.attempts),
        collect="actorcritic collect --from RUN --step score",
    )


def critiqued() -> Need:
    """Return the need of critiques, from the run or collected afterwards."""
    return Need(what="critiques", found=_has_critique, collect="actorcritic collect --from RUN --step critique")


def valued() -> Need:
    """Return the need of a search tree with visits and values."""
    return Need(
        what="a search tree with visits and values",
        found=lambda episode: any(attempt.visits is not None for attempt in episode.attempts),
        collect="actorcritic collect --problems F.jsonl --strategy mcts:nodes=step --out RUN",
    )


def derived(step: str) -> Need:
    """Return the need of what the collection step of this name appends."""
    return Need(
        what=f"events of the collection step {step!r}",
        found=lambda episode: any(made.step == step for made in episode.derived),
        collect=f"actorcritic collect --from RUN --step {step}",
    )


def _has_critique(episode: Episode) -> bool:
    return any(attempt.critique is not None for attempt in episode.attempts) or derived("critique").found(episode)
