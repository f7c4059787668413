"""Chooses the search by the problem's difficulty: compute-optimal scaling (Snell et al. 2024, arXiv 2408.03314).

The rule: `probe` samples are judged. The promise of one is the critic's score, or the share of its steps before the
first error where that is more: what a revision would keep. From a mean promise of `threshold` on a problem is easy and
worked on in sequence (`easy`), below it is hard and searched (`hard`). The probes are the first trials of the search
that is chosen; an accepted solution ends it at any time. Where nothing was judged the easy way is taken, which costs
less. Deviations: the share of steps beside the score, two levels instead of five, and no table fitted per level.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any, ClassVar, cast

from actorcritic.search.ab_mcts import AbMcts
from actorcritic.search.base import ACCEPT, SAMPLING, TreePolicy
from actorcritic.search.correcting import LOCATE, SURE
from actorcritic.search.mcts import Mcts
from actorcritic.search.options import Option, OptionValue, choice, integer, number
from actorcritic.search.ranking import critic_value, passes
from actorcritic.search.refine import Refine
from actorcritic.search.revise import Revise
from actorcritic.search.tree import Node
from actorcritic.types import Action, Failure, JsonValue, Outcome, StopReason, Trial

__all__ = ["Auto"]

CHOICES: dict[str, type[TreePolicy]] = {policy.NAME: policy for policy in (Revise, Refine, Mcts, AbMcts)}


class Auto(TreePolicy):
    """Probes first; then hands everything over to the policy it chose."""

    NAME = "auto"
    COUNT: ClassVar[str | None] = "n"
    DEFAULT_COUNT = 16
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        integer("probe", 1, "samples by which difficulty is judged"),
        number("threshold", 0.1, "mean promise of the probes from which a problem counts as easy", low=0, high=1),
        choice("easy", ("revise", "refine"), "what is done with an easy problem"),
        choice("hard", ("mcts", "ab-mcts"), "what is done with a hard one"),
        LOCATE,
        SURE,
        choice("gate", ("critic", "always"), "what is worked on again, unless by revise, which needs a located error"),
        ACCEPT,
        integer("n", None, "number of trials, the probes among them"),
        *SAMPLING,
    )

    def __init__(self, *, seed: int = 0, **options: OptionValue) -> None:
        super().__init__(seed=seed, **options)
        self._probes = self.options.whole("probe")
        self._accept = self.options.real("accept")
        self._chosen: TreePolicy | None = None

    # --- probing ---------------------------------------------------------------------------------------------------

    def _next(self) -> Trial | None:
        return self._trial(Action.PROPOSE) if len(self.tree) < self._probes else None

    def _told(self, node: Node, outcome: Outcome) -> None:
        if passes(outcome, self._accept):
            self._stop("accepted")

    def _settle(self) -> None:
        super()._settle()
        if self._stopped is None and not self._in_flight and len(self.tree) >= self._probes:
            self._choose()

    def _rank(self, outcome: Outcome) -> tuple[float, ...]:
        return (float(passes(outcome, self._accept)), *super()._rank(outcome))

    def _choose(self) -> None:
        """Make the policy that fits the problem, and tell it of the probes as if it had asked for them."""
        values = [_promise(node.outcome) for node in self.tree if node.outcome is not None]
        known = [value for value in values if value is not None]
        easy = not known or fmean(known) >= self.options.real("threshold")
        name = self.options.text("easy" if easy else "hard")
        chosen = CHOICES[name](seed=self.seed, **self._options_for(name))
        chosen.ask(self._probes)
        for node in self.tree:
            if node.outcome is not None:
                chosen.tell(node.id, node.outcome)
            elif node.failure is not None:
                chosen.fail(node.id, node.failure)
        self._hand_over(chosen)

    def _options_for(self, name: str) -> dict[str, OptionValue]:
        """Return the chosen policy's options: ours under its own names."""
        policy = CHOICES[name]
        names = {option.name for option in policy.OPTIONS}
        shared = ("temperature", "first", "locate", "sure", "gate")
        options: dict[str, OptionValue] = {key: self.options[key] for key in shared if key in names}
        options["accept" if "accept" in names else "stop_at"] = self._accept
        if policy.COUNT is not None:
            options[policy.COUNT] = self.options["n"]
        if policy is Mcts:
            # The root must have room for the probes.
            options["expand"] = max(self._probes, Mcts().options.whole("expand"))
        return options

    def _hand_over(self, chosen: TreePolicy) -> None:
        self._chosen = chosen
        self.tree = chosen.tree

    # --- afterwards ------------------------------------------------------------------------------------------------

    def ask(self, k: int = 1) -> tuple[Trial, ...]:
        """See `Policy.ask`."""
        return super().ask(k) if self._chosen is None else self._chosen.ask(k)

    def tell(self, trial: int, outcome: Outcome) -> None:
        """See `Policy.tell`."""
        if self._chosen is None:
            super().tell(trial, outcome)
        else:
            self._chosen.tell(trial, outcome)

    def fail(self, trial: int, failure: Failure) -> None:
        """See `Policy.fail`."""
        if self._chosen is None:
            super().fail(trial, failure)
        else:
            self._chosen.fail(trial, failure)

    def cancelled(self) -> tuple[int, ...]:
        """See `Policy.cancelled`."""
        return super().cancelled() if self._chosen is None else self._chosen.cancelled()

    @property
    def stopped(self) -> StopReason | None:
        """See `Policy.stopped`."""
        return super().stopped if self._chosen is None else self._chosen.stopped

    @property
    def best(self) -> int | None:
        """See `Policy.best`."""
        return super().best if self._chosen is None else self._chosen.best

    def dump(self) -> dict[str, JsonValue]:
        """See `Policy.dump`; after the choice the tree stands in the chosen policy's state."""
        state = super().dump()
        return state if self._chosen is None else {**state, "tree": []}

    def _state(self) -> dict[str, JsonValue]:
        return {"chosen": None if self._chosen is None else self._chosen.dump()}

    def _restore(self, state: dict[str, Any]) -> None:
        saved = cast("dict[str, Any] | None", state["chosen"])
        if saved is not None:
            self._hand_over(CHOICES[saved["policy"]].load(saved))


def _promise(outcome: Outcome) -> float | None:
    """Return the critic's score, or the share of steps before the first error if more; None = unscored."""
    score = critic_value(outcome)
    if score is None or outcome.first_error is None or not outcome.steps:
        return score
    return max(score, outcome.first_error / outcome.steps)
