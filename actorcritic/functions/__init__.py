"""Test-time scaling of a caller's own asynchronous function, whatever it returns."""

from actorcritic.functions.calls import this_call
from actorcritic.functions.codecs import Codec, typed_codec
from actorcritic.functions.methods import (
    ab_mcts,
    adaptive_vote,
    best_of_n,
    majority,
    mcts,
    refine,
    scale,
    weighted_vote,
)
from actorcritic.functions.results import CallFailure, Candidate, PastError, Progress, Scaled
from actorcritic.functions.synchronous import run_sync

__all__ = [
    "CallFailure",
    "Candidate",
    "Codec",
    "PastError",
    "Progress",
    "Scaled",
    "ab_mcts",
    "adaptive_vote",
    "best_of_n",
    "majority",
    "mcts",
    "refine",
    "run_sync",
    "scale",
    "this_call",
    "typed_codec",
    "weighted_vote",
]
