"""SDPO through TRL: the model that has read feedback teaches the model that has not (arXiv 2601.20802).

Rows hold a question and a critique of a wrong answer (`privileged_context`), which only the teacher reads; the task's
checker scores what is sampled. TRL would cut long prompts in silence: rows that do not fit are dropped here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorcritic.errors import InputError
from actorcritic.export.recipe import Columns, Drop
from actorcritic.search.options import choice
from actorcritic.training.encoding import encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.rl.rewarding import crl
from actorcritic.training.rl.setup import RL_OPTIONS, Prepared, end_ids, prepare, trainer_parts
from actorcritic.training.work import Built, Kept, Method, Work

__all__ = ["METHOD"]

TEACHER_WORDS = 64
"""Tokens of the template between question, solution and feedback in the teacher's prompt, generously."""
HOME = "trl.experimental.sdpo"


def _checked(ends: Collection[int]) -> Any:
    """Return the reward of a completion: 1 where the task's checker finds it right, else 0."""
    solution, _ = crl(ends)

    def solved(**columns: Any) -> list[float | None]:
        found: Any = solution(**{**columns, "task": ["gen"] * len(columns["completions"])})
        return list(asyncio.run(found))

    return solved


def _fitting(work: Work, prepared: Prepared) -> tuple[list[Mapping[str, Any]], Mapping[str, int]]:
    """Return the rows whose teacher can read all of question, solution and feedback, and what is dropped in all."""

    def read(row: Columns) -> tuple[Mapping[str, Any], int] | Drop:
        asked = work.encoder.ask(row["prompt"])
        feedback = work.encoder.text(str(row["privileged_context"]))
        if isinstance(asked, Drop) or isinstance(feedback, Drop):
            return Drop("no words for it in this model")
        return row, len(asked) + len(feedback) + TEACHER_WORDS + 2 * prepared.new_tokens

    encoded = encode_rows(prepared.rows, read, work.limit)
    both = dict(prepared.dropped)
    for reason, count in encoded.dropped.items():
        both[reason] = both.get(reason, 0) + count
    return list(encoded.rows), both


@dataclass(frozen=True, slots=True)
class _Teacher:
    """The slowly following teacher, which the trainer does not save with a checkpoint."""

    model: Any

    FILE = "teacher.safetensors"

    def save(self, folder: Path) -> None:
        """See `Kept.save`."""
        state = {name: value.contiguous().clone() for name, value in self.model.state_dict().items()}
        require("safetensors.torch").save_file(state, folder / self.FILE)

    def load(self, folder: Path) -> None:
        """See `Kept.load`."""
        self.model.load_state_dict(require("safetensors.torch").load_file(folder / self.FILE))


def _build(work: Work) -> Built:
    teacher = work.options.text("teacher")
    if work.lora_rank and teacher == "ema":
        raise InputError("a teacher that follows an adapter cannot be resumed: add --option teacher=base")
    prepared = prepare(work)
    rows, dropped = _fitting(work, prepared)
    parts = trainer_parts(
        work,
        prepared,
        require(HOME).SDPOConfig,
        max_prompt_length=None,
        max_reprompt_len=work.limit,
        include_environment_feedback=True,
        teacher_model_kind=teacher,
        shuffle_dataset=True,
    )
    parts["train_dataset"] = require("datasets").Dataset.from_list(rows)
    trainer = require(HOME).SDPOTrainer(**parts, reward_funcs=[_checked(end_ids(parts["model"], work.tokenizer))])
    kept: tuple[Kept, ...] = (_Teacher(trainer.teacher_model),) if teacher == "ema" else ()
    return Built(trainer=trainer, rows=len(rows), dropped=dropped, tokenizer=work.tokenizer, kept=kept)


METHOD = Method(
    name="sdpo",
    datasets=frozenset({"prompt-only"}),
    columns=("prompt", "privileged_context"),
    build=_build,
    options=(
        *RL_OPTIONS,
        choice(
            "teacher", ("ema", "base", "live"), "Who reads feedback: a running mean, the base, or the model itself."
        ),
    ),
)
