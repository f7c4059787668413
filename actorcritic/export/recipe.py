"""What a recipe is: a pure function from an episode to rows and drops, and what it declares of itself.

Knows no file, no split and no filter that all recipes share: the pipeline does those.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from actorcritic.errors import InputError
from actorcritic.export.chat import ChatMessage, actor_prompt
from actorcritic.export.wordings import ChatWording, Wording
from actorcritic.metering import derive_seed
from actorcritic.search.options import Option, Options, choice
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Problem

__all__ = ["Columns", "DatasetType", "Drop", "Form", "Need", "Recipe", "Result", "Row", "Setting", "Shown", "Tokenizer"]

Columns: TypeAlias = Mapping[str, JsonValue]
"""A row as the trainer reads it, without its provenance."""

DatasetType: TypeAlias = Literal[
    "language-modeling",
    "prompt-completion",
    "tokenized",
    "preference",
    "unpaired-preference",
    "prompt-only",
    "stepwise",
]
"""TRL's dataset types, with two of ours: `tokenized` holds `input_ids` and `labels`; `stepwise` is TRL's former type
`{prompt, completions: [step], labels: [bool or float]}`, for which TRL 1.16 has no trainer."""

Shown: TypeAlias = Literal["attempt", "critique", "feedback", "derived", "gold"]
"""What of an episode may stand in a prompt because it stands there at inference too: an earlier attempt, a critique,
the environment's feedback, what a collection step wrote, the gold answer."""


class Tokenizer(Protocol):
    """Turns text and chats into token ids, as the trainer will."""

    @property
    def name(self) -> str:
        """How a person calls it; goes into the manifest."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, special tokens not added."""
        ...

    def chat(self, messages: Sequence[ChatMessage], *, ask: bool = False) -> list[int]:
        """Return the ids of a chat in the model's template; `ask` adds the beginning of the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of training data and where it comes from."""

    columns: Columns
    """The same names and types in every row of a recipe, without None: readers guess types from the first rows."""
    attempts: tuple[int, ...]
    """The trials that it is made of, at least one."""
    filters: tuple[str, ...] = ()
    """The filters that it has passed, in order, such as `correct`, `distinct`."""
    asked: str | None = None
    """What the model reads before it writes, where the columns do not show it apart (`text`, `input_ids`): it is
    searched for leaks. None = it stands in the columns."""
    taught: str | None = None
    """What the model is to write, where the columns hold it as token ids alone: it is searched for held-out problems.
    None = it stands in the columns."""
    problem: str = ""
    """Id of its problem; the pipeline fills it in."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Something that made no row, and why."""

    reason: str
    """A few words, the same for all that are dropped for this reason; it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a recipe must find in at least one episode of the run."""

    what: str
    """In words, such as "attempts scored against a gold answer"."""
    found: Callable[[Episode], bool]
    collect: str
    """The command that brings it, with RUN for the run folder."""
    when: tuple[str, str] | None = None
    """An option and its value: only then is it needed. None = always."""

    def applies(self, options: Options) -> bool:
        """Whether it is needed under these options."""
        return self.when is None or options[self.when[0]] == self.when[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a recipe may look at beside the episode."""

    recipe: str
    options: Options
    form: str
    """Which of the recipe's forms is asked for."""
    seed: int = 0
    plain: bool = False
    """Ask with the problem's own words alone, without the form that this library's chat format adds."""
    tokenizer: Tokenizer | None = None
    wording: Wording | None = None
    """How problems, solutions and critiques are put; None = as chats."""

    @property
    def words(self) -> Wording:
        """How problems, solutions and critiques are put."""
        return ChatWording(plain=self.plain) if self.wording is None else self.wording

    @property
    def tokens(self) -> Tokenizer:
        """The tokenizer, for a recipe that declares that it needs one.

        Raises:
            InputError: there is none.
        """
        if self.tokenizer is None:
            raise InputError(f"the recipe {self.recipe} writes token ids: give --tokenizer")
        return self.tokenizer

    def prompt(self, problem: Problem) -> list[JsonValue]:
        """Return the chat in which the actor is asked, as at inference; for recipes that write chats alone."""
        return [dict(message) for message in actor_prompt(problem, plain=self.plain)]

    def draw(self, *parts: str | int) -> random.Random:
        """Return random numbers that depend on seed, recipe and these parts, such as a problem's id."""
        return random.Random(derive_seed(self.seed, self.recipe, *parts))


Result: TypeAlias = Row | Drop


def _keep(rows: Sequence[Row], setting: Setting) -> Iterable[Result]:
    """Leave everything as it is."""
    del setting
    return rows


def _no_settings(rows: Sequence[Columns]) -> Mapping[str, JsonValue]:
    """Ask nothing of the trainer."""
    del rows
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a recipe's rows look like and who trains on them."""

    dataset: DatasetType
    trainer: str
    """The class that the rows are meant for."""
    tokens: bool = False
    """Whether a tokenizer is needed to write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to make training data. A module in `recipes/` holds one as `RECIPE`."""

    name: str
    paper: str
    """Authors, year and arXiv id."""
    summary: str
    """One line for the list of recipes."""
    forms: Mapping[str, Form]
    """By name, the default first; where there are several, the option `form` chooses."""
    rows: Callable[[Episode, Setting], Iterable[Result]]
    """Pure: the same episode and setting give the same results in the same order."""
    shows: frozenset[Shown] = frozenset()
    """What of an episode may stand in a prompt; the pipeline drops a row whose prompt shows anything else."""
    shows_when: Mapping[Shown, tuple[str, str]] = field(default_factory=dict[Shown, tuple[str, str]])
    """Of `shows`, what stands there under one value of an option alone, with that option and value."""
    templates: tuple[str, ...] = ()
    """The packaged prompts in which its rows ask: their own words are no leak."""
    needs: tuple[Need, ...] = ()
    options: tuple[Option, ...] = ()
    arrange: Callable[[Sequence[Row], Setting], Iterable[Result]] = field(default=_keep)
    """Orders, mixes or thins out the rows of all episodes, before the split. A row given back is one of those, or a
    copy with other columns; its problem stays."""
    trainer_settings: Callable[[Sequence[Columns]], Mapping[str, JsonValue]] = field(default=_no_settings)
    """What the trainer must be told beyond its defaults, from the training rows: arguments of its configuration; they
    go into the manifest."""
    wordings: frozenset[str] = frozenset({"chat"})
    """In which wordings it can write its rows: `chat` alone, or any, where all its texts come from `Setting.words`."""
    conditions: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """What no argument of the trainer can say: tokens to add, words that the model must be asked with afterwards,
    constants of a trainer of our own; they go into the manifest."""

    def shown_under(self, options: Options) -> frozenset[Shown]:
        """Return what of an episode may stand in a prompt under these options."""
        return frozenset(
            kind
            for kind in self.shows
            if kind not in self.shows_when or options[self.shows_when[kind][0]] == self.shows_when[kind][1]
        )

    @property
    def all_options(self) -> tuple[Option, ...]:
        """The recipe's options, the choice of its form among them."""
        if len(self.forms) == 1:
            return self.options
        return (choice("form", tuple(self.forms), "What the rows look like."), *self.options)
