"""Self-talk: a solution that judges its own steps as it goes and mends the wrong ones, in one monologue.

MathCritique (Xi et al. 2024, arXiv 2411.16579), "self-talk-via-critique". Every step is followed by its critique; a
wrong one by its critique and by a step that replaces it, and what came after the wrong step is discarded. A model
smooths this chain to one text (collection step `self-talk`); those whose final answer is right are learnt, asked for by
the question alone. Deviation: a text that speaks of an attempt or a critique that its reader does not see is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from actorcritic.answers import extract_answer
from actorcritic.export.chat import assistant, mentions_help
from actorcritic.export.needs import derived
from actorcritic.export.reading import collected, equals_gold
from actorcritic.export.recipe import Drop, Form, Recipe, Result, Row, Setting
from actorcritic.search.options import choice, integer
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import Verdict

__all__ = ["RECIPE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """A step of the chain and what was said of it."""

    text: str
    verdict: Verdict
    index: int
    critique: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Monologue:
    """Payload of the collection step `self-talk`."""

    chain: tuple[_Link, ...]
    text: str
    correct: bool | None = None


def _rows(episode: Episode, setting: Setting) -> Iterator[Result]:
    """Yield the monologues of a problem, each text once."""
    seen: set[str] = set()
    for trial, made in collected(episode, "self-talk", _Monologue):
        text = made.text.strip()
        drop = Drop("of no attempt") if trial is None else _refusal(episode, made, setting)
        if drop is None and text in seen:
            drop = Drop("same as another row of its problem")
        if drop is None and len(seen) >= setting.options.whole("cap"):
            drop = Drop("over the cap of its problem")
        if drop is not None or trial is None:
            yield drop or Drop("of no attempt")
            continue
        seen.add(text)
        yield Row(
            columns={
                "prompt": setting.prompt(episode.problem),
                "completion": assistant(text),
                "corrections": _corrections(made.chain),
            },
            attempts=(trial,),
            filters=("ends right", "chain whole", "distinct"),
        )


def _refusal(episode: Episode, made: _Monologue, setting: Setting) -> Drop | None:
    """Return why a monologue is no target, None if it is one."""
    answer = extract_answer(made.text)
    right = None if answer is None else equals_gold(episode, answer)
    if not (made.correct if right is None else right):
        return Drop("does not end with the gold answer")
    if _corrections(made.chain) < sum(link.verdict is Verdict.INCORRECT for link in made.chain):
        return Drop("a wrong step without a correction")
    if not _corrections(made.chain) and setting.options.text("chains") == "corrected":
        return Drop("nothing to correct")
    return Drop("speaks of help that the prompt does not hold") if mentions_help(made.text) else None


def _corrections(chain: Sequence[_Link]) -> int:
    """Return how many wrong steps are followed by a step that replaces them."""
    pairs = pairwise(chain)
    return sum(link.verdict is Verdict.INCORRECT and after.index == link.index for link, after in pairs)


RECIPE = Recipe(
    name="self-talk",
    paper="Xi et al. 2024, arXiv:2411.16579",
    summary="one-pass solutions that judge their own steps and mend the wrong ones",
    forms={"sft": Form(dataset="prompt-completion", trainer="SFTTrainer")},
    rows=_rows,
    needs=(derived("self-talk"),),
    options=(
        choice("chains", ("all", "corrected"), "corrected = only those in which a step was mended."),
        integer("cap", 4, "Monologues per problem at most."),
    ),
)
