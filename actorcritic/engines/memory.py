"""A failure of a local model as one line, which says what to change where memory was short. Knows no library."""

from __future__ import annotations

import re

__all__ = ["LOADING", "RUNNING", "SCORING", "describe_failure"]

RUNNING = (
    "fewer requests at once (--concurrency, --width; max_batch and batch_bytes of TransformersOptions), shorter "
    "solutions (--max-tokens), --dtype bfloat16 or a smaller model need less memory"
)
"""What to change where a model runs out of memory over requests."""
LOADING = "--dtype bfloat16 or a smaller model need less memory; --device cpu takes the computer's own"
"""What to change where a model does not fit."""
SCORING = "a smaller &batch= in the reward model's spec, --dtype bfloat16 or a smaller model need less memory"
"""What to change where a reward model runs out of memory."""

_MEMORY = re.compile(r"out ?of ?memory|can.?t allocate memory|MemoryError", re.I)
"""As CUDA, torch's allocator on the CPU and Python say it."""
_LONGEST = 300


def describe_failure(error: Exception, advice: str) -> str:
    """Return an error as one line, with advice where it tells of too little memory."""
    line = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    short = line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
    return f"{short} ({advice})" if _MEMORY.search(line) else short
