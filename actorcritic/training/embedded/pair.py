"""Loads a trained model and puts tasks to it in batches, through the pair's own format.

The bridge between fast sampling and the library's values; used for training data, figures and simulated search.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from actorcritic.formats.embedded import EmbeddedActorFormat, EmbeddedCriticFormat
from actorcritic.formats.lines import ACCEPT, Puzzle, critic_prompt, known_families, problem_prompt, render_lines
from actorcritic.training.embedded.attempts import FAMILIES
from actorcritic.training.embedded.data import VOCABULARY, encode
from actorcritic.training.embedded.model import Llama, Shape, native_state
from actorcritic.training.embedded.sampling import Drawn, generate
from actorcritic.types import Critique, FinishReason, Generation, Problem, Solution, TokenLogprob, Usage

__all__ = [
    "as_generation",
    "attempt",
    "families_of",
    "judge",
    "load",
    "problem_of",
    "read_critique",
    "read_solution",
    "texts",
]

ACTOR, CRITIC = EmbeddedActorFormat(), EmbeddedCriticFormat()
LIMIT = 44
"""Most tokens of a completion: the longest right one has 41, the end token included."""
_ACCEPT_ID = VOCABULARY.index(f"{ACCEPT}\n")


def load(folder: Path, device: str = "cpu") -> Llama:
    """Load an exported folder."""
    config = json.loads((folder / "config.json").read_text())
    shape = Shape(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        inner=config["intermediate_size"],
    )
    model = Llama(shape)
    state = {name: weight.float() for name, weight in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(native_state(state, shape.layers))
    return model.to(torch.device(device)).eval()


def families_of(folder: Path) -> tuple[str, ...]:
    """Return the families that a pair was made for: those that its actor's tokenizer has words for."""
    words = json.loads((folder / "actor" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    known = known_families(words)
    return tuple(family for family in FAMILIES if family.partition("-")[0] in known)


def problem_of(puzzle: Puzzle) -> Problem:
    """Wrap a puzzle as the library's problem."""
    return Problem(id=puzzle.key, prompt=puzzle.render())


def as_generation(drawn: Drawn) -> Generation:
    """Return a completion as an engine would report it; the watched token stands in for the alternatives."""
    words = [VOCABULARY[i] for i in drawn.ids] + (["<eos>"] if drawn.ended else [])
    tokens = tuple(
        TokenLogprob(token_id=None, text=word, logprob=p, top={f"{ACCEPT}\n": math.log(max(seen, 1e-30))})
        for word, p, seen in zip(words, drawn.logprobs, drawn.watched, strict=True)
    )
    return Generation(
        text="".join(VOCABULARY[i] for i in drawn.ids),
        finish_reason=FinishReason.STOP if drawn.ended else FinishReason.LENGTH,
        usage=Usage(),
        tokens=tokens,
    )


def read_solution(puzzle: Puzzle, drawn: Drawn, kept: Solution | None = None) -> Solution:
    """Read an actor's completion."""
    return ACTOR.read(problem_of(puzzle), kept, as_generation(drawn))


def read_critique(puzzle: Puzzle, solution: Solution, drawn: Drawn) -> Critique:
    """Read a critic's completion."""
    return CRITIC.read(problem_of(puzzle), solution, as_generation(drawn))


def attempt(actor: Llama, puzzles: Sequence[Puzzle], *, temperature: float, seed: int) -> list[Solution]:
    """Return one attempt per puzzle."""
    prompts = [encode(problem_prompt(puzzle)) for puzzle in puzzles]
    drawn = generate(actor, prompts, limit=LIMIT, temperature=temperature, seed=seed)
    return [read_solution(puzzle, one) for puzzle, one in zip(puzzles, drawn, strict=True)]


def judge(critic: Llama, puzzles: Sequence[Puzzle], solutions: Sequence[Solution]) -> list[Critique]:
    """Return the critic's greedy critique of each solution."""
    prompts = [
        encode(critic_prompt(puzzle, render_lines(puzzle, [step.text for step in solution.steps])))
        for puzzle, solution in zip(puzzles, solutions, strict=True)
    ]
    drawn = generate(critic, prompts, limit=14, temperature=0, seed=0, watch=_ACCEPT_ID)
    return [read_critique(p, s, d) for p, s, d in zip(puzzles, solutions, drawn, strict=True)]


def texts(solution: Solution) -> tuple[str, ...]:
    """Return the steps as a person reads them."""
    return tuple(step.text for step in solution.steps)
