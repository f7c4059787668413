"""From a run folder to rows: what every recipe owes, done once for all of them.

In order: oracle runs are refused, problems held out or near a benchmark dropped, the recipe's rows made and arranged,
then leaks and over-long rows dropped, provenance added, the split made by problem. Every drop is counted. Rows are held
in memory, episodes one at a time. Writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from actorcritic.errors import InputError, RecordError
from actorcritic.export.exclusion import PASSES, Exclusion, heldout_state, read_benchmarks
from actorcritic.export.leakage import leak
from actorcritic.export.lengths import row_length
from actorcritic.export.passage import heldout_passage
from actorcritic.export.recipe import Columns, Drop, Recipe, Row, Setting
from actorcritic.export.splitting import SPLITS, split_of_problem
from actorcritic.export.wordings import NO_WORDS
from actorcritic.trajectory.episodes import Episode, read_episodes
from actorcritic.trajectory.provenance import ModelOrigin
from actorcritic.trajectory.reader import read_problems, torn_ends
from actorcritic.types import JsonValue

__all__ = ["STRAY", "TORN", "Export", "Order", "RunSummary", "export_episodes", "export_run"]

WRITTEN = ("prompt", "completion", "chosen", "rejected", "reference")
"""Columns in which a model's own wording may lack words; elsewhere a missing value is a defect of the recipe."""

STRAY = "late event of an attempt that the log lacks"
TORN = "last line of a log file, never finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to export, and what to leave out."""

    recipe: Recipe
    setting: Setting
    share: float = 0.95
    """Of problems to train on, in (0, 1]."""
    max_length: int | None = None
    """Tokens of a row at most, >= 1; needs the setting's tokenizer. None = any."""
    exclude: tuple[Path, ...] = ()
    """Problem files of benchmarks that must not be trained on."""
    allow_oracle: bool = False
    limit: int | None = None
    """Only the first so many problems of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What of a run goes into the manifest."""

    runs: tuple[str, ...]
    problems: int
    """With at least one event."""
    unfinished: int
    attempts: int
    oracle: bool
    strategies: tuple[str, ...]
    libraries: tuple[str, ...]
    """Versions of this library that wrote the log."""
    models: tuple[ModelOrigin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What came out."""

    order: Order
    rows: Mapping[str, Sequence[Columns]]
    """By split, provenance included; in the order of the run's problems or in the recipe's own."""
    drops: Mapping[str, int]
    """By reason."""
    run: RunSummary
    trainer_settings: Mapping[str, JsonValue]
    excluded: Mapping[str, str]
    """SHA-256 of every file of `Order.exclude`, by its name."""

    @property
    def total(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows.values()))


def export_run(folder: Path, order: Order) -> Export:
    """Make the rows of a recipe from a run folder.

    Raises:
        InputError: this is no run folder, an oracle run is not allowed, or the run lacks what the recipe needs.
    """
    texts, digests = read_benchmarks(order.exclude)
    try:
        problems = islice(read_problems(folder), order.limit)
        exclusion = Exclusion(texts, (problem.text for problem, _ in problems))
        episodes = read_episodes(folder)
        if order.limit is not None:
            wanted = {problem.id for problem, _ in islice(read_problems(folder), order.limit)}
            episodes = (episode for episode in episodes if episode.problem.id in wanted)
        export = export_episodes(episodes, order, exclusion)
    except RecordError as error:
        raise InputError(str(error)) from error
    torn = {TORN: len(ends)} if (ends := torn_ends(folder)) else {}
    return replace(export, excluded=digests, drops=dict(sorted({**export.drops, **torn}.items())))


def export_episodes(episodes: Iterable[Episode], order: Order, exclusion: Exclusion | None = None) -> Export:
    """Make the rows of a recipe from episodes.

    Raises:
        InputError: see `export_run`.
    """
    work = _Work(order, Exclusion({}, ()) if exclusion is None else exclusion)
    for episode in episodes:
        work.take(episode)
    return work.finish()


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a row's provenance says of its episode."""

    run: str
    oracle: bool
    split: str


class _Work:
    """One export as it goes. Mutable: it counts and collects."""

    def __init__(self, order: Order, exclusion: Exclusion) -> None:
        recipe, wording = order.recipe, order.setting.words.name
        if wording not in recipe.wordings:
            raise InputError(f"the recipe {recipe.name} writes chats alone: it knows no words of {wording}")
        self._order = order
        self._exclusion = exclusion
        self._unmet = [need for need in order.recipe.needs if need.applies(order.setting.options)]
        self._drops: Counter[str] = Counter()
        self._rows: list[Row] = []
        self._origins: dict[str, _Origin] = {}
        self._facts = _Facts()

    def take(self, episode: Episode) -> None:
        """Make the rows of one episode."""
        episode = self._known(episode)
        order, problem = self._order, episode.problem
        if episode.oracle and not order.allow_oracle:
            raise InputError(
                f"run {episode.run} is an oracle run: a gold answer or the task's checker took part in it; "
                "--allow-oracle exports it all the same, and says so in every row"
            )
        self._facts.add(episode)
        self._unmet = [need for need in self._unmet if not need.found(episode)]
        reason = self._exclusion.reason(problem)
        if reason is not None:
            self._drops[f"problem {reason}"] += 1
            return
        split = split_of_problem(problem, order.share, order.setting.seed)
        self._origins[problem.id] = _Origin(episode.run, episode.oracle, split)
        for result in order.recipe.rows(episode, order.setting):
            passed = self._check(result, episode)
            if isinstance(passed, Drop):
                self._drops[passed.reason] += 1
            else:
                self._rows.append(replace(passed, problem=problem.id))

    def _known(self, episode: Episode) -> Episode:
        """Return an episode in which everything collected is of an attempt that is there."""
        trials = {None, *(attempt.id for attempt in episode.attempts)}
        derived = tuple(made for made in episode.derived if made.trial in trials)
        strays = episode.strays + len(episode.derived) - len(derived)
        if strays:
            self._drops[STRAY] += strays
        return replace(episode, derived=derived, strays=0)

    def _check(self, result: Row | Drop, episode: Episode) -> Row | Drop:
        """Return a row that shows nothing it may not and is not too long."""
        if isinstance(result, Drop):
            return result
        if not result.attempts:
            raise TypeError(f"recipe {self._order.recipe.name}: a row of no attempt")
        own = self._order.setting.words.name != "chat"
        if own and any(result.columns.get(name, "") is None for name in WRITTEN):
            return Drop(NO_WORDS)
        split = self._passage(result, episode)
        if split is not None:
            return Drop(PASSES.format(split))
        shown = leak(result, episode, self._order.recipe, self._order.setting)
        if shown is not None:
            return Drop(f"leak: {shown} in the prompt")
        limit, tokenizer = self._order.max_length, self._order.setting.tokenizer
        if limit is None or tokenizer is None:
            return replace(result, filters=(*result.filters, "no leak"))
        if row_length(result.columns, tokenizer) > limit:
            return Drop(f"longer than {limit} tokens")
        return replace(result, filters=(*result.filters, "no leak", f"at most {limit} tokens"))

    def _passage(self, row: Row, episode: Episode) -> str | None:
        """Return the split of a held-out problem that a row leads through: in what it says, or in what its trials did.

        Raises:
            TypeError: nothing says what a row of tokens teaches; a defect of the recipe.
        """
        if "input_ids" in row.columns and row.taught is None:
            raise TypeError(f"recipe {self._order.recipe.name}: a row of tokens without the text that it teaches")
        own = (attempt.solution for attempt in episode.attempts if attempt.id in row.attempts)
        splits = (heldout_state(episode.problem, solution) for solution in own if solution is not None)
        return next(filter(None, splits), None) or heldout_passage(episode.problem, row)

    def finish(self) -> Export:
        """Arrange the rows of all episodes and split them."""
        recipe = self._order.recipe
        for need in self._unmet:
            raise InputError(
                f"the recipe {recipe.name} needs {need.what}, and the run has none: `{need.collect}` collects them"
            )
        splits: dict[str, list[Columns]] = {split: [] for split in SPLITS}
        for result in recipe.arrange(self._rows, self._order.setting):
            if isinstance(result, Drop):
                self._drops[result.reason] += 1
                continue
            origin = self._origins[result.problem]
            splits[origin.split].append({**result.columns, "provenance": _provenance(result, origin)})
        _check_columns(recipe.name, [row for rows in splits.values() for row in rows])
        return Export(
            order=self._order,
            rows=splits,
            drops=dict(sorted(self._drops.items())),
            run=self._facts.summary(),
            trainer_settings=recipe.trainer_settings(splits[SPLITS[0]]),
            excluded={},
        )


class _Facts:
    """What the episodes say of their run. Mutable: it counts."""

    def __init__(self) -> None:
        self._runs: set[str] = set()
        self._problems = 0
        self._unfinished = 0
        self._attempts = 0
        self._oracle = False
        self._strategies: set[str] = set()
        self._libraries: set[str] = set()
        self._models: dict[ModelOrigin, None] = {}

    def add(self, episode: Episode) -> None:
        """Take in one episode."""
        origin = episode.provenance
        self._runs.add(episode.run)
        self._problems += 1
        self._unfinished += not episode.finished
        self._attempts += len(episode.attempts)
        self._oracle = self._oracle or episode.oracle
        self._strategies.update(filter(None, [origin.strategy]))
        self._libraries.update(filter(None, [origin.library]))
        self._models.update(dict.fromkeys(origin.models))

    def summary(self) -> RunSummary:
        """Return what was taken in."""
        return RunSummary(
            runs=tuple(sorted(self._runs)),
            problems=self._problems,
            unfinished=self._unfinished,
            attempts=self._attempts,
            oracle=self._oracle,
            strategies=tuple(sorted(self._strategies)),
            libraries=tuple(sorted(self._libraries)),
            models=tuple(self._models),
        )


def _provenance(row: Row, origin: _Origin) -> dict[str, JsonValue]:
    """Return where a row comes from, in columns that are never empty."""
    return {
        "run": origin.run,
        "problem": row.problem,
        "attempts": list(row.attempts),
        "filters": list(row.filters),
        "oracle": origin.oracle,
    }


def _check_columns(recipe: str, rows: Iterable[Columns]) -> None:
    """See that all rows have the same columns of the same types, which readers of JSON lines guess from the first.

    Raises:
        TypeError: a defect of the recipe.
    """
    first: dict[str, str] | None = None
    for row in rows:
        types = {name: type(value).__name__ for name, value in row.items()}
        first = types if first is None else first
        if types != first or "NoneType" in types.values():
            raise TypeError(f"recipe {recipe}: rows of different columns: {first} and {types}")
