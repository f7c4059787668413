"""The model card of a trained pair: what it is, how it was trained, what it can do on held-out problems."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from actorcritic.training.embedded.batches import LENGTH
from actorcritic.training.embedded.recipes import Recipe, Runtime

__all__ = ["model_card", "training_notes"]

WIDTH = 119

HEAD = """---
license: apache-2.0
library_name: transformers
tags: [{tags}]
---

# The embedded pair: a small actor and a small step critic

{intro}

{families}

{fallible}

## Text format

{words}

## Held out

{held_out}
"""
INTRO = (
    "Two Llama models trained from nothing on {count} of problems, to show and test critique in the loop without a "
    "download. `actor/` writes solutions step by step and revises them from a critique; `critic/` reads a whole or "
    "partial attempt and gives one verdict per step, a reason code or `ok`."
)
FALLIBLE = (
    "They know nothing else. The actor is fallible on purpose: {why}, so that its first thought is often wrong while "
    "the right one stays within its reach."
)
WORDS = (
    "The models read and write a text of their own (`actorcritic.formats.embedded`): one token per word, each with its "
    "own trailing blank or newline. {texts}; a rejected step and its reason after `reject`; `judge` asks the critic. "
    "Numbers above 255 have no token."
)
HELD_OUT = (
    "A problem is a test problem when `int(sha256(key).hexdigest(), 16) % 10 == 0`; bucket 1 was used for every choice "
    "on the way. Keys: {keys}. Training saw no problem of either bucket, and left out every {states} is such a problem."
)


@dataclass(frozen=True, slots=True)
class _About:
    """What a person is told of a family."""

    problems: str
    text: str
    """How it is put to the models."""
    key: str
    why: str = ""
    """Why the actor is fallible."""
    states: str = ""
    """Samples that are left out because a later state is held out."""


ABOUT = {
    "countdown": _About(
        problems="- **countdown**: `Use 7, 13 and 14 to make 15.` 3 or 4 numbers from 1 to 25, each used once; target "
        "1 to 99, not among them; every result a positive whole number; steps such as `14 / 7 = 2`.",
        text="`numbers 7 13 14 =15`, then lines such as `14 / 7 2 13 =15` (operands, result, the other numbers left, "
        "the target)",
        key="`countdown:7,13,14->15` (sorted)",
        why="its training is short, and part of its 3-number samples are the failures of a hasty solver",
        states="4-number sample in which a state of three or more numbers, with its target,",
    ),
    "sudoku": _About(
        problems="- **sudoku**: `Fill the sudoku 1.../..2./.3../4...` 4x4, 4 to 6 clues, one solution; steps such as "
        "`r1c2 = 3`, empty cells in row order.",
        text="`sudoku r1c1=1 ... fill`, then `r1c2=3`",
        key="`sudoku:` + the solved grid",
    ),
    "arithmetic": _About(
        problems="- **arithmetic**: `Work out (19 - ((3 + 9) - 4)) + 16`, but of 6 to 10 operations; operands 1 to 20, "
        "every value on the way 0 to 99; steps such as `3 + 9 = 12`, the leftmost operation between two numbers first.",
        text="`compute (1 3 + 9 )1 - 4 =?` (brackets carry their depth), then `3 + 9 =12`",
        key="`arithmetic:` + the expression without spaces",
        why="its training is short, and part of its samples are the failures of a hasty solver, who forgets what is "
        "carried and borrowed",
        states="sample in which a state of six or more operations",
    ),
}


def training_notes(recipe: Recipe, runtime: Runtime) -> str:
    """Return in Markdown what a run of a recipe consists of."""
    rows = ["| stage | optimiser steps | tokens | peak learning rate |", "|---|---|---|---|"]
    for role, stages in (("actor", recipe.actor_stages), ("critic", recipe.critic_stages)):
        for at, stage in enumerate(stages, start=1):
            steps = (stage.stop_after or stage.schedule.chunks) * stage.mixture.steps
            tokens = steps * stage.mixture.rows * LENGTH
            rows.append(f"| {role} {at} | {steps:,} | {tokens / 1e6:.1f} M | {stage.schedule.rate:g} |")
    again = ", and as many with revisions after it" if len(recipe.critic_stages) > 1 else ""
    return (
        f"`python -m actorcritic.training.embedded --families {','.join(recipe.knows)}`, on {runtime.device} with "
        f"{runtime.threads} thread(s), matrix products in {runtime.precision}; {recipe.pool_size:,} attempts of the "
        f"actor per family before its last stage{again}.\n\n" + "\n".join(rows)
    )


def model_card(families: Sequence[str], training: str, measured: str) -> str:
    """Return the card in Markdown.

    Args:
        families: what the pair knows, such as `countdown-3`.
        training: Markdown on how these weights were made.
        measured: Markdown tables of the held-out figures.
    """
    names = [name for name in ABOUT if any(family.partition("-")[0] == name for family in families)]
    about = [ABOUT[name] for name in names]
    count = ("no family", "one family", "two families", "three families")[len(names)]
    filled = {
        "tags": ", ".join(("actor", "critic", *names)),
        "intro": _wrap(INTRO.format(count=count)),
        "families": "\n".join(_wrap(each.problems, "  ") for each in about),
        "fallible": _wrap(FALLIBLE.format(why="; ".join(each.why for each in about if each.why))),
        "words": _wrap(WORDS.format(texts="; ".join(each.text for each in about))),
        "held_out": _wrap(
            HELD_OUT.format(
                keys=", ".join(each.key for each in about),
                states=" or ".join(each.states for each in about if each.states),
            )
        ),
    }
    head = HEAD
    for field, text in filled.items():
        head = head.replace(f"{{{field}}}", text)
    return f"{head}\n## Training\n\n{training.strip()}\n\n## Figures\n\n{measured.strip()}\n"


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
