"""A DPO trainer that goes by logged likelihoods, over a stand-in; `tests/export/test_training.py` has TRL's own."""

from __future__ import annotations

from dataclasses import dataclass

from actorcritic.training.references import LOGGED, logged_reference


@dataclass
class Rows:
    column_names: list[str]


class DPOTrainer:
    """Computes what its rows lack when it is made, as TRL's does."""

    def __init__(self, rows: Rows, beta: float) -> None:
        self.beta = beta
        self.rows = self._precompute_ref_logps(rows, "train", batch_size=2)

    def _precompute_ref_logps(self, dataset: Rows, name: str, batch_size: int) -> Rows:
        return Rows([*dataset.column_names, f"computed for {name} by {batch_size}"])


def test_logged_likelihoods_are_taken_as_they_are() -> None:
    rows = Rows(["prompt", "chosen", "rejected", *LOGGED])
    trainer = logged_reference(DPOTrainer)(rows, beta=0.5)
    assert trainer.rows is rows and trainer.beta == 0.5
    assert type(trainer).mro()[1] is DPOTrainer and type(trainer).__name__ == "DPOTrainer"


def test_rows_without_them_are_left_to_the_trainer() -> None:
    for names in (["prompt"], ["prompt", LOGGED[0]]):
        assert logged_reference(DPOTrainer)(Rows(names), 0.1).rows == DPOTrainer(Rows(names), 0.1).rows
