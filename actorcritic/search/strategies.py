"""Strategies by name: `best-of-n:score=logprob,n=8` to a checked specification, and that to a policy.

The one table of all policies. An unknown name, option or value is refused in one line with what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actorcritic.errors import InputError, RecordError
from actorcritic.search.ab_mcts import AbMcts
from actorcritic.search.adaptive_vote import AdaptiveVote
from actorcritic.search.auto import Auto
from actorcritic.search.base import TreePolicy
from actorcritic.search.beam import Beam
from actorcritic.search.best_of_n import BestOfN
from actorcritic.search.dvts import Dvts
from actorcritic.search.filtered_vote import FilteredVote
from actorcritic.search.greedy import Greedy
from actorcritic.search.majority import Majority
from actorcritic.search.mcts import Mcts
from actorcritic.search.options import OptionValue
from actorcritic.search.particle import Particle
from actorcritic.search.refine import Refine
from actorcritic.search.revise import Revise
from actorcritic.search.self_check import SelfCheck
from actorcritic.search.weighted_vote import WeightedVote
from actorcritic.types import JsonValue

__all__ = [
    "STRATEGIES",
    "StrategySpec",
    "load_policy",
    "make_policy",
    "needs_critic",
    "needs_oracle",
    "parse_strategy",
    "score_source",
]

POLICIES: tuple[type[TreePolicy], ...] = (
    Greedy,
    BestOfN,
    Majority,
    WeightedVote,
    FilteredVote,
    SelfCheck,
    AdaptiveVote,
    Refine,
    Revise,
    Beam,
    Dvts,
    Particle,
    Mcts,
    AbMcts,
    Auto,
)

STRATEGIES: Mapping[str, type[TreePolicy]] = {policy.NAME: policy for policy in POLICIES}
"""Every strategy by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """A strategy with the options that were given; the others have their defaults."""

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict[str, OptionValue])

    def __str__(self) -> str:
        """Return the text form, which `parse_strategy` reads back."""
        options = ",".join(f"{name}={_text(value)}" for name, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


def parse_strategy(text: str) -> StrategySpec:
    """Read `name` or `name:option=value,option=value`.

    Raises:
        InputError: the strategy, an option or a value is unknown; the message lists the choices.
    """
    name, _, rest = text.strip().partition(":")
    if name not in STRATEGIES:
        raise InputError(f"unknown strategy {name!r}; choose from: {', '.join(STRATEGIES)}")
    known = {option.name: option for option in STRATEGIES[name].OPTIONS}
    options: dict[str, OptionValue] = {}
    for item in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if key not in known:
            choices = f"choose from: {', '.join(known)}" if known else "it has none"
            raise InputError(f"strategy {name} has no option {key!r}; {choices}")
        if not equals:
            raise InputError(f"option {key} of strategy {name} needs a value: {known[key].allowed}")
        if key in options:
            raise InputError(f"option {key} of strategy {name} is given twice")
        options[key] = known[key].parse(value)
    return StrategySpec(name=name, options=options)


def make_policy(spec: StrategySpec, *, seed: int = 0, budgeted: bool = False) -> TreePolicy:
    """Return a fresh policy.

    Args:
        spec: the strategy.
        seed: of the policy's own random choices.
        budgeted: True where a budget ends the search; otherwise a strategy without a count gets its default.

    Raises:
        InputError: an option or value is refused.
    """
    if spec.name not in STRATEGIES:
        raise InputError(f"unknown strategy {spec.name!r}; choose from: {', '.join(STRATEGIES)}")
    policy = STRATEGIES[spec.name]
    options = dict(spec.options)
    if policy.COUNT is not None and not budgeted and options.get(policy.COUNT) is None:
        options[policy.COUNT] = policy.DEFAULT_COUNT
    return policy(seed=seed, **options)


def load_policy(state: dict[str, JsonValue]) -> TreePolicy:
    """Return the policy, whichever it is, that `dump` described.

    Raises:
        RecordError: the state is no policy's.
    """
    name = state.get("policy")
    if not isinstance(name, str) or name not in STRATEGIES:
        raise RecordError(f"this is the state of {name!r}, which is no strategy")
    return STRATEGIES[name].load(state)


def needs_critic(spec: StrategySpec) -> bool:
    """Return whether the strategy asks for critiques."""
    return make_policy(spec).needs_critic


def score_source(spec: StrategySpec) -> str:
    """Return whose score the strategy goes by: one of the choices of `ranking.SCORE`."""
    return make_policy(spec).source


def needs_oracle(spec: StrategySpec) -> bool:
    """Return whether the strategy asks for gold verdicts, so that the run is an oracle run."""
    return spec.options.get("gate") == "oracle"


def _text(value: OptionValue) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
