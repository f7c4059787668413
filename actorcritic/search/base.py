"""What all policies share: the tree, idempotent tells, the best so far, the count limit, the JSON state.

A policy adds `_next` (which trial comes now) and what it learns from a result. Knows no model and no clock. It is
deterministic given its seed and the order of asks and tells; `ask(k)` is k times `ask(1)`, and an empty `ask` changes
nothing that matters, so that only trials need to be logged.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast

from actorcritic.errors import RecordError
from actorcritic.search.options import Option, Options, OptionValue, choice, number
from actorcritic.search.policy import CRITIQUE, ORACLE, REWARD, TEMPERATURE
from actorcritic.search.ranking import REWARDED, Rank, by_critic, by_logprob, check_outcome, passes, score_of
from actorcritic.search.tree import Node, Status, Tree
from actorcritic.types import Action, Failure, JsonValue, Outcome, StopReason, Trial

__all__ = ["ACCEPT", "FAILURES_IN_ROW", "SAMPLING", "STOP_AT", "TreePolicy"]

FAILURES_IN_ROW = 16
"""After so many failures without a result between them a search without an end gives up: the model must be gone."""

SAMPLING = (
    number("temperature", None, "temperature of every trial; none = the actor's own", low=0.0),
    choice("first", ("sampled", "greedy"), "whether the very first trial is drawn at temperature 0"),
)
"""The options of every policy that samples."""

ACCEPT = number(
    "accept",
    0.9,
    "probability of being correct, by the critic, from which a solution judged correct ends the search; 0 = any",
    low=0,
    high=1,
)
"""The option of searches that end with the first solution that is good enough. The critic's score is read as the
probability that the solution is correct, a verdict without a score as certain; below the threshold the search goes on
while the budget lasts, and the best by score is the answer."""

STOP_AT = number(
    "stop_at",
    None,
    "score from which a finished solution ends the search, with the critic only if judged correct; none = never",
    low=0,
    high=1,
)
"""The option of searches that would otherwise spend their whole budget."""


class TreePolicy(ABC):
    """A search over a tree of trials. Mutable; see `Policy` for the protocol."""

    NAME: ClassVar[str]
    """As in a strategy's text form."""
    OPTIONS: ClassVar[tuple[Option, ...]]
    """What the constructor takes beside the seed."""
    COUNT: ClassVar[str | None] = None
    """The option that limits the search; where it is none the policy goes on until it is stopped."""
    DEFAULT_COUNT: ClassVar[int] = 8
    """What that option is where neither a person nor a budget limits the search."""
    COUNTS_TRIALS: ClassVar[bool] = True
    """Whether that option counts trials; otherwise the policy itself keeps to it."""
    ANYTIME: ClassVar[bool] = True
    """Whether the plan is the same under any budget, so that one run tells what every smaller budget would bring.
    False for a policy that plans with the budget: a comparison then runs it once per budget."""

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        self.seed = seed
        self.options = Options(self.OPTIONS, options)
        self.tree = Tree()
        self._limit = self.options.maybe_whole(self.COUNT) if self.COUNT and self.COUNTS_TRIALS else None
        self._stop_at = self.options.maybe_real("stop_at") if "stop_at" in self.options else None
        self.source = self.options.text("score") if "score" in self.options else "critic"
        """Whose score counts; see `ranking.SCORE`."""
        self._score = score_of(self.source, self.options.text("aggregate") if "aggregate" in self.options else "final")
        """Reads a solution's score off an outcome; None = unscored."""
        self._in_flight = 0
        self._failures = 0
        self._stopped: StopReason | None = None
        self._cancelled: list[int] = []
        self._best: tuple[Rank, int] | None = None
        """The best rank so far, and minus the trial that has it: of equals the earlier one is the greater pair."""
        self._random: random.Random | None = None
        self._shared: dict[tuple[object, ...], dict[str, JsonValue]] = {}

    # --- what a policy adds ----------------------------------------------------------------------------------------

    @property
    def needs_critic(self) -> bool:
        """Whether trials are to be judged."""
        return True

    @abstractmethod
    def _next(self) -> Trial | None:
        """Return the next trial, made with `_trial`; None, with nothing changed, while only results can help."""

    def _asked(self, node: Node) -> None:  # noqa: B027 - nor keeps books of its own
        """Hear of a new node in the tree: the trial that `_next` returned."""

    def _told(self, node: Node, outcome: Outcome) -> None:  # noqa: B027 - not every policy learns
        """Learn from a result."""

    def _failed(self, node: Node) -> None:  # noqa: B027 - nor minds a failure
        """Learn from a failure."""

    def _rank(self, outcome: Outcome) -> Rank:
        """Return how good a solution is; a tie goes to the earlier one."""
        return by_critic(outcome) if self.needs_critic else by_logprob(outcome)

    def _state(self) -> dict[str, JsonValue]:
        """Return what the tree does not hold."""
        return {}

    def _restore(self, state: dict[str, Any]) -> None:  # noqa: B027 - the tree may be all there is
        """Take back what `_state` gave; the tree is there already."""

    # --- the protocol ----------------------------------------------------------------------------------------------

    def ask(self, k: int = 1) -> tuple[Trial, ...]:
        """See `Policy.ask`."""
        trials: list[Trial] = []
        while len(trials) < k and self._stopped is None and not self._all_asked:
            trial = self._next()
            if trial is None:
                break
            self._asked(self.tree.add(trial))
            self._in_flight += 1
            trials.append(trial)
        return tuple(trials)

    def tell(self, trial: int, outcome: Outcome) -> None:
        """See `Policy.tell`."""
        node = self.tree[trial]
        check_outcome(outcome)
        if node.status is not Status.ASKED:
            return
        node.status, node.outcome = Status.DONE, outcome
        self._in_flight -= 1
        self._failures = 0
        self._weigh(trial, outcome)
        self._told(node, outcome)
        self._settle()

    def fail(self, trial: int, failure: Failure) -> None:
        """See `Policy.fail`."""
        node = self.tree[trial]
        if node.status is not Status.ASKED:
            return
        node.status, node.failure = Status.FAILED, failure
        self._in_flight -= 1
        self._failures += 1
        self._failed(node)
        self._settle()

    def cancelled(self) -> tuple[int, ...]:
        """See `Policy.cancelled`; a trial once cancelled stays on the list."""
        return tuple(self._cancelled)

    @property
    def stopped(self) -> StopReason | None:
        """See `Policy.stopped`."""
        return self._stopped

    @property
    def best(self) -> int | None:
        """See `Policy.best`."""
        return None if self._best is None else -self._best[1]

    def dump(self) -> dict[str, JsonValue]:
        """See `Policy.dump`."""
        return {
            "policy": self.NAME,
            "seed": self.seed,
            "options": dict(self.options),
            "stopped": self._stopped,
            "failures": self._failures,
            "random": None if self._random is None else _random_to_json(self._random),
            "tree": self.tree.to_json(),
            "state": self._state(),
        }

    @classmethod
    def load(cls, state: dict[str, JsonValue]) -> Self:
        """See `Policy.load`.

        Raises:
            RecordError: the state is another policy's.
        """
        saved = cast("dict[str, Any]", state)
        if saved.get("policy") != cls.NAME:
            raise RecordError(f"this is the state of {saved.get('policy')!r}, not of {cls.NAME!r}")
        policy = cls(seed=saved["seed"], **saved["options"])
        policy._take_back(saved)
        return policy

    # --- shared pieces ---------------------------------------------------------------------------------------------

    @property
    def random(self) -> random.Random:
        """This search's own generator, made when it is first used."""
        if self._random is None:
            self._random = random.Random(self.seed)
        return self._random

    @property
    def _all_asked(self) -> bool:
        return self._limit is not None and len(self.tree) >= self._limit

    def _trial(
        self, action: Action, parent: int | None = None, extra: Mapping[str, JsonValue] = MappingProxyType({})
    ) -> Trial:
        """Return the next trial with the options that every trial of this policy has."""
        number = len(self.tree.nodes)
        # Most trials want the same as another: they share one mapping, which nobody changes.
        key = (number == 0, *extra.items())
        options = self._shared.get(key)
        if options is None:
            options = self._shared[key] = {**self._own_options(first=number == 0), **extra}
        return Trial(id=number, action=action, parent=parent, options=options)

    def _own_options(self, *, first: bool) -> dict[str, JsonValue]:
        """Return the options that every trial of this policy has."""
        options = self._scoring()
        temperature = self.options.get("temperature")
        if first and self.options.get("first") == "greedy":
            temperature = 0.0
        if temperature is not None:
            options[TEMPERATURE] = temperature
        if self.options.get("gate") == "oracle":
            options[ORACLE] = True
        return options

    def _scoring(self) -> dict[str, JsonValue]:
        """Return who is to judge and to score a trial, as its options say it."""
        reward: dict[str, JsonValue] = {REWARD: self.source} if self.source in REWARDED else {}
        return {CRITIQUE: self.needs_critic, **reward}

    def _good_enough(self, outcome: Outcome) -> bool:
        """Return whether a solution ends the search by the option `stop_at`."""
        if self._stop_at is None or self.source == "critic":
            return self._stop_at is not None and passes(outcome, self._stop_at)
        score = self._score(outcome)
        return outcome.complete and score is not None and score >= self._stop_at

    def _stop(self, reason: StopReason) -> None:
        """End the search; what is in flight no longer matters."""
        self._stopped = reason
        if self._in_flight:
            self._cancel([node.id for node in self.tree if node.status is Status.ASKED])

    def _end(self) -> None:
        """End a search that did all it planned; it failed only if nothing came of it."""
        self._stop("completed" if self._best is not None else "failed")

    def _cancel(self, trials: list[int]) -> None:
        """Give up trials in flight."""
        for trial in trials:
            self.tree[trial].status = Status.CANCELLED
            self._cancelled.append(trial)
        self._in_flight -= len(trials)

    def _weigh(self, trial: int, outcome: Outcome) -> None:
        """Keep the best so far; ids break ties, so the order of tells does not matter."""
        # What ended the search is the answer, whatever else has a higher score.
        standing = ((float(self._good_enough(outcome)), *self._rank(outcome)), -trial)
        if self._best is None or standing > self._best:
            self._best = standing

    def _settle(self) -> None:
        """Stop once everything planned has been told, or once nothing works any more."""
        if self._stopped is not None:
            return
        if self._all_asked and not self._in_flight:
            self._end()
        elif self._failures >= FAILURES_IN_ROW:
            self._stop("failed")

    def _take_back(self, saved: dict[str, Any]) -> None:
        """Restore everything that `dump` wrote."""
        self.tree = Tree.from_json(saved["tree"])
        self._stopped = saved["stopped"]
        self._failures = saved["failures"]
        for node in self.tree:
            if node.outcome is not None:
                self._weigh(node.id, node.outcome)
        self._in_flight = sum(node.status is Status.ASKED for node in self.tree)
        self._cancelled = [node.id for node in self.tree if node.status is Status.CANCELLED]
        if saved["random"] is not None:
            version, internal, gauss = saved["random"]
            self.random.setstate((version, tuple(internal), gauss))
        self._restore(saved["state"])


def _random_to_json(generator: random.Random) -> JsonValue:
    version, internal, gauss = generator.getstate()
    return [version, list(internal), gauss]
