"""Trains process reward models on step labels: a 2-class head on a language model, read where a step ends.

Math-Shepherd (Wang et al. 2023, arXiv 2312.08935) gives the labels, hard (true or false) or soft (a share in [0, 1]);
the loss is the cross-entropy with them at the ends of steps, and nowhere else. A solution is laid out by the very
format that scores it later (`engines.reward_formats`): `hf-prm:FOLDER?format=...` loads the result. Deviation: the
paper's head is two tokens of the vocabulary; this one is Qwen2.5-Math-PRM's (arXiv 2501.07301) with one layer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from actorcritic.engines.reward_formats import EmbeddedLines, QwenPrm, RewardFormat, format_of
from actorcritic.errors import InputError
from actorcritic.export.masking import IGNORED
from actorcritic.export.recipe import Columns, Drop
from actorcritic.metrics import auroc, process_bench
from actorcritic.search.options import choice
from actorcritic.training.adapters import add_tokens, lora_config
from actorcritic.training.bases import load_base
from actorcritic.training.encoding import Encoded, encode_rows
from actorcritic.training.libraries import require
from actorcritic.training.work import Built, Method, Work

__all__ = ["EVALUATION", "METHOD", "StepFigures", "collate", "figures", "laid_out", "make_trainer", "step_loss"]

EVALUATION = "evaluation.json"
"""In the folder of a run: figures on the export's validation rows, and how many of these there are."""

THRESHOLD = 0.5
"""A step is wrong where its label or its score is below."""
HEAD = ("score.", "classifier.")
"""Beginnings of the names of the head's weights, which are new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFigures:
    """How well the steps of held-out solutions are judged; shares in [0, 1]."""

    solutions: int
    steps: int
    accuracy: float
    """Of all steps: the share whose score is on the label's side."""
    auroc: float | None
    """That a right step scores above a wrong one; None where all are of one kind."""
    first_error_f1: float
    """Harmonic mean of the two below, as ProcessBench has it."""
    first_error_found: float
    """Of the solutions with a wrong step: the share whose first one was named exactly."""
    right_accepted: float
    """Of the solutions without: the share in which no step was called wrong."""


def laid_out(rows: Sequence[Columns], tokenizer: Any, format: RewardFormat, limit: int) -> Encoded:
    """Return rows as a trainer takes them: `input_ids`, and `labels` of the same length, live at the ends of steps.

    Args:
        rows: With `prompt` (the question), `completions` (the steps) and `labels`, one per step, in [0, 1].
        tokenizer: Of the model.
        format: How it reads a solution.
        limit: Tokens at most; a longer row is dropped and counted.

    Raises:
        InputError: a row has not one label per step, a label is out of its range, or no row is left.
    """

    def row_of(row: Columns) -> tuple[Mapping[str, Any], int] | Drop:
        steps, labels = cast("list[str]", row["completions"]), cast("list[float]", row["labels"])
        if not steps:
            return Drop("no step")
        if len(steps) != len(labels) or any(not 0 <= label <= 1 for label in labels):
            raise InputError("a row has not one label in [0, 1] for each of its steps: export the recipe prm again")
        scoring = format.lay_out(tokenizer, str(row["prompt"]), steps)
        live = [float(IGNORED)] * len(scoring.ids)
        for mark, label in zip(scoring.marks, labels, strict=True):
            live[mark] = float(label)
        return {"input_ids": list(scoring.ids), "labels": live}, len(scoring.ids)

    return encode_rows(rows, row_of, limit)


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a batch: `input_ids`, `attention_mask` and float `labels`, padded at the right."""
    import torch  # noqa: PLC0415 - heavy, and not needed to refuse bad settings

    length = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, value: float) -> Any:
        return torch.tensor([[*row[name], *[value] * (length - len(row[name]))] for row in rows])

    seen = [[1] * len(row["input_ids"]) + [0] * (length - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": padded("input_ids", 0),
        "attention_mask": torch.tensor(seen),
        "labels": padded("labels", IGNORED),
    }


def step_loss(logits: Any, labels: Any) -> Any:
    """Return the mean cross-entropy at the live labels.

    Args:
        logits: [B, T, 2]; the second class is "right".
        labels: [B, T], in [0, 1] or `IGNORED`.
    """
    live = labels != IGNORED
    logps = logits[live].float().log_softmax(-1)
    right = labels[live].to(logps.dtype)
    return -(right * logps[:, 1] + (1 - right) * logps[:, 0]).mean()


def figures(scores: Sequence[Sequence[float]], labels: Sequence[Sequence[float]]) -> StepFigures:
    """Compare scores of steps with their labels.

    Args:
        scores: Per solution and step, in [0, 1].
        labels: Likewise.
    """
    pairs = [pair for one, true in zip(scores, labels, strict=True) for pair in zip(one, true, strict=True)]
    right = [label >= THRESHOLD for _, label in pairs]
    hits = sum((score >= THRESHOLD) == good for (score, _), good in zip(pairs, right, strict=True))
    bench = process_bench([_first_error(one) for one in scores], [_first_error(one) for one in labels])
    return StepFigures(
        solutions=len(scores),
        steps=len(pairs),
        accuracy=hits / len(pairs) if pairs else 0.0,
        auroc=auroc([score for score, _ in pairs], right) if len(set(right)) == 2 else None,
        first_error_f1=bench.f1,
        first_error_found=bench.acc_err,
        right_accepted=bench.acc_cor,
    )


def _first_error(values: Sequence[float]) -> int | None:
    return next((place for place, value in enumerate(values) if value < THRESHOLD), None)


def make_trainer(model: Any, arguments: Any, rows: Any, held_out: Sequence[Mapping[str, Any]], report: Path) -> Any:
    """Return transformers' trainer with the loss of steps, which writes its figures on held-out rows at the end.

    Args:
        model: A token classifier with two classes.
        arguments: `TrainingArguments`.
        rows: As `laid_out` makes them, or a data set of them.
        held_out: Likewise; may be empty.
        report: File for the figures.
    """
    import transformers  # noqa: PLC0415 - heavy, and not needed to refuse bad settings

    class Judging(transformers.TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if held_out:
                found = asdict(_judge(more["model"], held_out))
                report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    base: Any = transformers.Trainer
    trainer = type("StepTrainer", (base,), {"compute_loss": _compute_loss})(
        model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Judging()]
    )
    # The loss is a mean over a part of the batch; the trainer is to take the mean over the parts.
    trainer.model_accepts_loss_kwargs = False
    return trainer


def _compute_loss(trainer: Any, model: Any, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
    given = dict(inputs)
    labels = given.pop("labels")
    outputs = model(**given)
    loss = step_loss(outputs.logits, labels)
    return (loss, outputs) if return_outputs else loss


def _judge(model: Any, rows: Sequence[Mapping[str, Any]], batch: int = 32) -> StepFigures:
    """Return the figures of a model on rows, shortest first so that little is padded."""
    import torch  # noqa: PLC0415 - heavy, and not needed to refuse bad settings

    ordered = sorted(rows, key=lambda row: len(row["input_ids"]))
    scores: list[list[float]] = []
    labels: list[list[float]] = []
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(ordered), batch):
            given = {name: item.to(model.device) for name, item in collate(ordered[start : start + batch]).items()}
            true = given.pop("labels")
            chances = model(**given).logits.float().softmax(-1)[..., 1]
            for chance, wanted in zip(chances, true, strict=True):
                scores.append(chance[wanted != IGNORED].tolist())
                labels.append(wanted[wanted != IGNORED].tolist())
    model.train(was_training)
    return figures(scores, labels)


def _build(work: Work) -> Built:
    import transformers  # noqa: PLC0415 - heavy, and not needed to refuse bad settings

    named = work.options.text("format")
    own: RewardFormat = EmbeddedLines() if work.base.role else QwenPrm()
    format = own if named == "auto" else format_of(named)
    model = load_base(work.base, "AutoModelForTokenClassification", fresh=HEAD, num_labels=2)
    new = add_tokens(model, work.tokenizer, [QwenPrm.SEPARATOR]) if isinstance(format, QwenPrm) else []
    encoded = laid_out(work.data.rows, work.tokenizer, format, work.limit)
    held_out = laid_out(work.data.validation, work.tokenizer, format, work.limit).rows if work.data.validation else ()
    arguments: Any = transformers.TrainingArguments(**work.arguments(len(encoded.rows), encoded.longest))
    adapter = lora_config(model, work.lora_rank, new, task="TOKEN_CLS")
    if adapter is not None:
        model = require("peft").get_peft_model(model, adapter)
    trainer = make_trainer(model, arguments, list(encoded.rows), held_out, work.settings.out / EVALUATION)
    return Built(
        trainer=trainer,
        rows=len(encoded.rows),
        dropped=encoded.dropped,
        tokenizer=work.tokenizer,
        scheme="hf-prm",
        query=f"?format={format.name}",
    )


METHOD = Method(
    name="prm",
    datasets=frozenset({"stepwise"}),
    columns=("prompt", "completions", "labels"),
    build=_build,
    options=(
        choice(
            "format",
            ("auto", QwenPrm.name, EmbeddedLines.name),
            "How the model reads a solution; auto = in the embedded pair's lines where the model is one of a pair.",
        ),
    ),
)
