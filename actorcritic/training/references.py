"""DPO's reference out of a log: the likelihoods that the policy gave its own answers when it wrote them.

For `actorcritic train` and for scripts over TRL alike:

    trainer = logged_reference(DPOTrainer)(model=..., args=DPOConfig(**settings), train_dataset=rows, ...)

with the `trainer_settings` of the export's manifest. Needs no library itself.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

__all__ = ["LOGGED", "logged_reference"]

LOGGED = ("ref_chosen_logps", "ref_rejected_logps")
"""Columns of an export: sums of the log-probabilities of a row's two completions under the policy that wrote them."""

T = TypeVar("T")


def logged_reference(trainer: type[T]) -> type[T]:
    """Return a DPO trainer that goes by the logged likelihoods of its rows, under the name of the one it is made from.

    TRL's own computes them anew, with the model as it was loaded, even where rows have them. Data sets without the
    columns of `LOGGED`, such as one to evaluate on, are left to the trainer it is made from.

    Args:
        trainer: `trl.DPOTrainer` or a class derived from it; to be used with `precompute_ref_log_probs=True`, as the
            manifest of such an export says.
    """

    def take(self: Any, dataset: Any, *rest: Any, **more: Any) -> Any:
        if set(LOGGED) <= set(dataset.column_names):
            return dataset
        base: Any = trainer
        return base._precompute_ref_logps(self, dataset, *rest, **more)

    return cast("type[T]", type(trainer.__name__, (trainer,), {"_precompute_ref_logps": take}))
