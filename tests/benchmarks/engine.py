"""How fast the `hf:` engine decodes, beside one `model.generate` call on the same prompts in the same run.

    python -m tests.benchmarks.engine [--model FOLDER] [--requests 64] [--new-tokens 64] [--repeats 5] [--threads 1]

Without --model: a random Llama of 0.9 million weights, where what is measured is the cost around the model. Both sides
draw at temperature 1 from the whole distribution, in float32, until the last token asked for; the engine also gives
log-probabilities. Every repetition has new prompts, so next to nothing is cached. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from actorcritic.engines.local_models import resolve_model
from actorcritic.engines.transformers import TransformersEngine, TransformersOptions
from actorcritic.engines.transformers.model import load_model
from actorcritic.types import GenerateRequest, Prompt
from tests.engines.tiny import save_tiny

PROMPT_TOKENS = 24


def make_prompts(vocabulary: int, count: int, rng: random.Random, *, ragged: bool) -> list[tuple[int, ...]]:
    """Return prompts of random ids, all of one length (what `generate` likes best) or of half to twice as many."""
    lengths = [rng.randint(PROMPT_TOKENS // 2, 2 * PROMPT_TOKENS) if ragged else PROMPT_TOKENS for _ in range(count)]
    return [tuple(rng.randrange(20, vocabulary) for _ in range(length)) for length in lengths]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Tokens per second of the clock, and per second of processor time, which other programs disturb less."""

    clock: float
    processor: float


@contextmanager
def measured(tokens: int, into: list[Speed]) -> Generator[None]:
    """Append the speed at which the block makes so many tokens."""
    start, spent = time.perf_counter(), time.process_time()
    yield
    clock, processor = time.perf_counter() - start, time.process_time() - spent
    into.append(Speed(clock=tokens / clock, processor=tokens / processor))


async def run_engine(
    engine: TransformersEngine, prompts: list[tuple[int, ...]], new_tokens: int, into: list[Speed]
) -> None:
    """Decode all prompts at once."""
    requests = [
        GenerateRequest(prompt=Prompt(content="", prefill_ids=ids), max_tokens=new_tokens, seed=i)
        for i, ids in enumerate(prompts)
    ]
    with measured(len(prompts) * new_tokens, into):
        done = await asyncio.gather(*(engine.generate(request) for request in requests))
    assert all(one.usage.completion_tokens == new_tokens for one in done)
    assert sum(one.usage.cached_tokens for one in done) < 0.2 * sum(map(len, prompts))


@torch.inference_mode()
def run_generate(model: Any, prompts: list[tuple[int, ...]], new_tokens: int, into: list[Speed]) -> None:
    """Decode all prompts in one call, padded on the left."""
    longest = max(map(len, prompts))
    with measured(len(prompts) * new_tokens, into):
        ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        out = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=True,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
        )
        out[:, longest:].tolist()
    assert out.shape[1] == longest + new_tokens


async def compare(source: str, args: argparse.Namespace, *, invariant: bool, ragged: bool) -> dict[str, Any]:
    """Run engine and `generate` in turn and return the medians."""
    loaded, beside = load_model(source, device="cpu", dtype="float32"), load_model(source, device="cpu")
    options = TransformersOptions(batch_invariant=invariant, max_batch=args.requests)
    engine = TransformersEngine(
        loaded.model, loaded.tokenizer, end_ids=frozenset(), name="bench", max_context=None, options=options
    )
    rng = random.Random(0)
    ours, theirs = list[Speed](), list[Speed]()
    for _ in range(args.repeats + 1):
        prompts = make_prompts(len(loaded.tokenizer), args.requests, rng, ragged=ragged)
        await run_engine(engine, prompts, args.new_tokens, ours)
        run_generate(beside.model, prompts, args.new_tokens, theirs)
    await engine.aclose()
    pairs = list(zip(ours, theirs, strict=True))[1:]  # The first warms both up.
    ratios = sorted(a.clock / b.clock for a, b in pairs)
    row = {
        "batch_invariant": invariant,
        "prompts": "ragged" if ragged else "equal",
        "engine_tokens_per_second": round(statistics.median(a.clock for a, _ in pairs), 1),
        "generate_tokens_per_second": round(statistics.median(b.clock for _, b in pairs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(ratios[0], 3),
        "ratio_max": round(ratios[-1], 3),
        "processor_ratio": round(statistics.median(a.processor / b.processor for a, b in pairs), 3),
    }
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


async def main() -> None:
    """Print one line per setting, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder, an added model or a hub id (default: a tiny random one)")
    parser.add_argument("--requests", type=int, default=64, help="requests at once (default 64)")
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens per request (default 64)")
    parser.add_argument("--repeats", type=int, default=5, help="measured repetitions per setting (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with TemporaryDirectory() as scratch:
        source = resolve_model(args.model) if args.model else str(save_tiny(Path(scratch)))
        rows = [
            await compare(source, args, invariant=invariant, ragged=ragged)
            for invariant in (True, False)
            for ragged in (False, True)
        ]
    settings = {"requests": args.requests, "new_tokens": args.new_tokens, "threads": args.threads}
    versions = {"torch": torch.__version__}
    summary = {"bench": "engine", "model": args.model or "tiny", "ratio": rows[0]["ratio"], **settings}
    print(json.dumps({**summary, "rows": rows, "versions": versions}))


if __name__ == "__main__":
    asyncio.run(main())
