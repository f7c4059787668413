"""One forward pass over many rows at once, and loading the model that does it.

Knows slots, positions and token ids; nothing of requests, randomness or text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as hub_logging

from actorcritic.engines.memory import LOADING, describe_failure
from actorcritic.engines.transformers.attention import ATTENTION, RowPlan, Segment
from actorcritic.engines.transformers.kv import KvBuffer
from actorcritic.errors import EngineUnavailable, InputError

__all__ = ["Device", "Dtype", "Loaded", "ModelRunner", "fingerprint", "load_model", "pick_device", "quiet_loading"]

Device = str
"""`auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ..."""
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
"""`auto`: float32 on the CPU, bfloat16 on a GPU."""

ROW_STEP = 16
"""Batch-invariant: matrix products have a multiple of this many rows. Below 16, kernels for few rows take over, which
sum in another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What came out of a model folder."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    end_ids: frozenset[int]
    """Ids that end a completion."""
    max_context: int | None


def load_model(source: str, *, device: Device = "auto", dtype: Dtype = "auto") -> Loaded:
    """Load a model and its tokenizer from a folder or a hub id.

    Raises:
        InputError: there is no such folder or device.
        EngineUnavailable: it is there but cannot be loaded, or cannot be downloaded.
    """
    where = pick_device(device)
    name = ("float32" if where.type == "cpu" else "bfloat16") if dtype == "auto" else dtype
    if not Path(source).is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise InputError(f"no model folder {source}: check the path, or name a model of the hub as OWNER/NAME")
    try:
        with quiet_loading():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source)
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, name))
            cast("Any", model).to(where).eval()
    except (OSError, ValueError, KeyError, RuntimeError, MemoryError) as error:
        raise EngineUnavailable(f"cannot load the model {source}: {describe_failure(error, LOADING)}") from error
    limit: object = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        end_ids=_end_ids(model, tokenizer),
        max_context=limit if isinstance(limit, int) else None,
    )


@contextmanager
def quiet_loading() -> Generator[None]:
    """Keep transformers from drawing progress bars and from telling what went well meanwhile."""
    switch = cast("Any", hub_logging)
    shown, level = bool(switch.is_progress_bar_enabled()), switch.get_verbosity()
    switch.disable_progress_bar()
    switch.set_verbosity_error()
    try:
        yield
    finally:
        switch.set_verbosity(level)
        if shown:
            switch.enable_progress_bar()


def fingerprint(model: PreTrainedModel) -> str:
    """Return a short hash of the architecture and of up to 4,096 evenly spaced weights of every tensor."""
    digest = hashlib.sha256(type(model).__name__.encode())
    for name, weight in model.state_dict().items():
        digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
        flat = weight.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // 4096)].to("cpu", torch.float32)
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


class ModelRunner:
    """A model with the key-value buffer of its running rows. Mutable; owned by one thread.

    Attributes:
        invariant: whether a row's numbers are the same whatever runs beside it (asked for, and found to hold).
    """

    def __init__(self, model: PreTrainedModel, *, invariant: bool, limit_bytes: int = 2**32) -> None:
        config = model.config.get_text_config()
        heads = int(config.num_attention_heads)
        self.model: PreTrainedModel | None = model
        self.invariant = invariant
        self.device = next(model.parameters()).device
        self.buffer = KvBuffer(
            layers=int(config.num_hidden_layers),
            kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
            head_size=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
            dtype=next(model.parameters()).dtype,
            device=self.device,
            limit_bytes=limit_bytes,
        )
        # A mask of four dimensions is taken as it is, so that models build none of their own.
        self._no_mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=self.device)
        with torch.inference_mode():
            self._check_attention()
            self.invariant = invariant and self._check_invariance()

    def step(
        self,
        tokens: list[int],
        positions: list[int],
        segments: list[Segment],
        wanted: int,
        also: Sequence[int] = (),
    ) -> Tensor:
        """Run one forward pass.

        Args:
            tokens: the newest token of each decoding row, in slots 0, 1, 2 ...
            positions: where each of them stands in its row, 0-based.
            segments: prompt tokens to read, in the slots that follow.
            wanted: for how many rows to return logits: all decoding ones, then the first segments.
            also: places of prompt tokens in this pass, 0-based with the decoding rows counted, whose logits are wanted.

        Returns:
            [rows, vocabulary], float32: what comes after the newest token of each wanted row, then after the tokens in
            `also`.
        """
        ids, places = list(tokens), list(positions)
        slots, ends = list(range(len(tokens))), list(range(len(tokens)))
        for segment in segments:
            ids += segment.tokens
            places += range(segment.start, segment.start + len(segment.tokens))
            slots += [segment.slot] * len(segment.tokens)
            ends.append(len(ids) - 1)
        self.buffer.reserve(max(slots) + 1, max(places) + 1)
        columns = self.buffer.columns
        cells = [slot * columns + place for slot, place in zip(slots, places, strict=True)]
        padding = -len(ids) % ROW_STEP if self.invariant else 0
        plan = RowPlan(
            buffer=self.buffer,
            positions=self._tensor(places + [0] * padding),
            cells=self._tensor(cells),
            longest=max(positions, default=-1) + 1,
            decoding=len(tokens),
            segments=tuple(segments),
            invariant=self.invariant,
        )
        kept = [*ends[:wanted], *also]
        return self._forward(ids + [0] * padding, plan, self._kept(kept or ends[:1]) if segments else None)[: len(kept)]

    def free(self) -> None:
        """Let go of the model and of the buffer; no step can follow."""
        self.model = None
        self.buffer.data = self.buffer.data[:, :, :0].clone()

    def _kept(self, kept: list[int]) -> Tensor:
        """Which tokens' logits to compute, padded where the mode asks for it."""
        return self._tensor(kept + kept[:1] * (-len(kept) % ROW_STEP if self.invariant else 0))

    def _forward(self, ids: list[int], plan: RowPlan, kept: Tensor | None) -> Tensor:
        out = cast("Any", self.model)(
            input_ids=self._tensor(ids)[None],
            position_ids=plan.positions[None],
            attention_mask=self._no_mask,
            use_cache=False,
            logits_to_keep=0 if kept is None else kept,
            row_plan=plan,
        )
        logits: Tensor = out.logits[0]
        return logits.float()

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self.device)

    def _check_attention(self) -> None:
        """Compare with the model's own attention, so that an architecture we misread is refused, not misused.

        Raises:
            EngineUnavailable: the architecture is not supported.
        """
        model = cast("Any", self.model)
        ids = [1 + i % 7 for i in range(12)]
        own: Tensor = model(input_ids=self._tensor(ids)[None], use_cache=False).logits[0, -1].float()
        name = type(self.model).__name__
        try:
            model.set_attn_implementation(ATTENTION)
            ours = self.step([], [], [Segment(slot=0, start=0, tokens=tuple(ids))], 1)[0]
        except (AssertionError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise EngineUnavailable(f"the hf engine does not support {name} models: {error}") from error
        tolerance = 1e-3 if own.dtype == self.buffer.data.dtype else 0.1
        if not (ours - own).abs().max() <= tolerance * own.abs().max():
            raise EngineUnavailable(f"the hf engine does not support {name} models: attention differs")

    def _check_invariance(self) -> bool:
        """Return whether one row has the same logits alone and in company, read at once or token by token."""
        row = tuple(2 + i % 5 for i in range(9))
        alone = self.step([], [], [Segment(slot=0, start=0, tokens=row)], 1)[0]
        others = [tuple(1 + (i * k) % 7 for k in range(3 * i + 1)) for i in range(1, 34)]
        rows = [*others[:20], row[:-1], *others[20:]]
        self.step([], [], [Segment(slot=i, start=0, tokens=tokens) for i, tokens in enumerate(rows)], len(rows))
        newest = [row[-1] if i == 20 else 3 for i in range(len(rows))]
        beside = self.step(newest, [len(tokens) for tokens in rows], [], len(rows))[20]
        return torch.equal(alone, beside)


def pick_device(device: Device) -> torch.device:
    """Return the device that a name stands for.

    Raises:
        InputError: there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"unknown device {device!r}: use auto, cpu or cuda") from error
    if where.type == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no GPU that torch can use: use --device cpu, or install a torch with CUDA")
    return where


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    found: set[int] = set()
    config = cast("Any", model.generation_config)
    for value in (config.eos_token_id if config is not None else None, cast("Any", tokenizer).eos_token_id):
        if isinstance(value, int):
            found.add(value)
        elif isinstance(value, list):
            found.update(cast("list[int]", value))
    return frozenset(found)
