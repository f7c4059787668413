"""The exact value of every state and action of a shop, by dynamic programming over its states.

Oracle values: for measuring a search and for doubles of known skill; no actor or critic of a real run sees them.
"""

from __future__ import annotations

from functools import lru_cache

from actorcritic.environments.shop import Shop, State, actions, draw_shop, earned, follow, start

__all__ = ["ShopValues", "values_of"]


class ShopValues:
    """The values of one shop under the best play. Mutable: states are worked out as they are asked for."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._known: dict[State, float] = {}

    @property
    def optimum(self) -> float:
        """The most that an episode can earn, in [0, 1]."""
        return self.value(start())

    def value(self, state: State) -> float:
        """Return what the best play earns from a state on, in [0, 1]."""
        if state.page == "end" or state.left == 0:
            return 0.0
        known = self._known.get(state)
        if known is None:
            known = max(self.worth(state, action) for action in actions(self.shop, state))
            self._known[state] = known
        return known

    def worth(self, state: State, action: str) -> float:
        """Return what an action that can be done, and the best play after it, earn, in [0, 1]."""
        after = follow(state, action)
        return earned(self.shop, state) if after.page == "end" else self.value(after)

    @property
    def states(self) -> int:
        """How many states have been worked out."""
        return len(self._known)


@lru_cache(maxsize=1024)
def values_of(seed: int) -> ShopValues:
    """Return the values of the shop of a seed."""
    return ShopValues(draw_shop(seed))
