"""A small web shop, after WebShop (Yao et al. 2022, arXiv 2207.01206): its goods, its pages, its rules.

A shop is drawn from a seed: goods that come near what is wanted, of which perhaps none is perfect. What an action does
is a pure function of the state, and there are few states, so that the best that can be earned is known exactly (see
`shop_values`). Only the searches that the shop offers find anything. Knows no actor.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

__all__ = ["ACTIONS", "Good", "Shop", "State", "Wish", "act", "actions", "draw_shop", "earned", "follow", "start"]

ACTIONS = 8
"""Actions of an episode at most."""
CATEGORIES = ("jacket", "backpack", "lamp")
FEATURES = ("waterproof", "foldable", "recycled", "padded", "reflective", "silent")
COLOURS = ("red", "blue", "green")
SIZES = ("small", "medium", "large")
GOODS = 12
PAGE = 3
"""Goods on one page of results."""
WRONG_CATEGORY = 0.1
"""What a good of another category is worth, as a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """Something for sale."""

    id: str
    category: str
    features: frozenset[str]
    price: int
    """In whole dollars."""
    colours: tuple[str, ...]
    """That it comes in."""
    sizes: tuple[str, ...]

    @property
    def title(self) -> str:
        """What a page of results says: not all of the features."""
        shown = sorted(self.features)[0]
        return f"{shown} {self.category}, ${self.price}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be bought."""

    category: str
    features: tuple[str, ...]
    colour: str
    size: str
    price: int
    """At most, in dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One instance."""

    seed: int
    wish: Wish
    goods: tuple[Good, ...]

    def found(self, query: str) -> tuple[Good, ...]:
        """Return what a search for a category or a feature finds, in the shop's order."""
        return tuple(good for good in self.goods if query == good.category or query in good.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where an episode stands."""

    page: Literal["home", "results", "good", "end"] = "home"
    query: str = ""
    first: int = 0
    """Place of the first result that is shown."""
    good: str = ""
    colour: str = ""
    size: str = ""
    left: int = ACTIONS
    """Actions that are left."""


def start() -> State:
    """Return the state in which every episode begins."""
    return State()


@lru_cache(maxsize=4096)
def draw_shop(seed: int) -> Shop:
    """Return the shop of a seed."""
    draw = random.Random(f"shop:{seed}")
    wish = Wish(
        category=draw.choice(CATEGORIES),
        features=tuple(sorted(draw.sample(FEATURES, 2))),
        colour=draw.choice(COLOURS),
        size=draw.choice(SIZES),
        price=draw.randrange(40, 90, 5),
    )
    ids = draw.sample(range(10, 100), GOODS)
    return Shop(seed=seed, wish=wish, goods=tuple(_draw_good(f"G{number}", wish, draw) for number in ids))


def _draw_good(id: str, wish: Wish, draw: random.Random) -> Good:
    """Return a good that has most of what is wanted, or another one altogether."""
    near = draw.random() < 0.6
    others = [feature for feature in FEATURES if feature not in wish.features]
    wanted = [feature for feature in wish.features if draw.random() < (0.7 if near else 0.2)]
    features = frozenset([*wanted, *draw.sample(others, 2 - len(wanted) + draw.randrange(2))])
    fits = draw.random() < (0.6 if near else 0.3)
    return Good(
        id=id,
        category=wish.category if near else draw.choice(CATEGORIES),
        features=features,
        price=wish.price - draw.randrange(0, 25) if fits else wish.price + draw.randrange(1, 40),
        colours=_some(COLOURS, draw),
        sizes=_some(SIZES, draw),
    )


def _some(values: Sequence[str], draw: random.Random) -> tuple[str, ...]:
    return tuple(value for value in values if draw.random() < 0.75) or (draw.choice(values),)


def actions(shop: Shop, state: State) -> tuple[str, ...]:
    """Return what can be done."""
    if state.page == "home":
        return tuple(f"search[{query}]" for query in (*CATEGORIES, *FEATURES))
    if state.page == "results":
        found = shop.found(state.query)
        shown = found[state.first : state.first + PAGE]
        more = ("click[next]",) if state.first + PAGE < len(found) else ()
        return (*(f"click[{good.id}]" for good in shown), *more, "click[home]")
    if state.page == "good":
        good = _good(shop, state)
        return (*(f"choose[{value}]" for value in (*good.colours, *good.sizes)), "buy", "click[home]")
    return ()


def act(shop: Shop, state: State, action: str) -> State:
    """Return the state after an action; one that cannot be done takes its time all the same."""
    wanted = action.strip().lower()
    known = next((one for one in actions(shop, state) if one.lower() == wanted), None)
    return replace(state, left=state.left - 1) if known is None else follow(state, known)


def follow(state: State, action: str) -> State:
    """Return the state after one of the actions that can be done in it."""
    left = state.left - 1
    name, _, argument = action.removesuffix("]").partition("[")
    if name == "buy":
        return replace(state, page="end", left=left)
    if name == "choose":
        is_colour = argument in COLOURS
        return replace(state, left=left, colour=argument) if is_colour else replace(state, left=left, size=argument)
    if argument == "home":
        return State(left=left)
    if argument == "next":
        return replace(state, first=state.first + PAGE, left=left)
    if name == "search":
        return State(page="results", query=argument, left=left)
    return State(page="good", good=argument, left=left)


def earned(shop: Shop, state: State) -> float:
    """Return what buying in this state earns, in [0, 1]: the share of the wishes that come true (WebShop's reward)."""
    good, wish = _good(shop, state), shop.wish
    fulfilled = [feature in good.features for feature in wish.features]
    fulfilled += [state.colour == wish.colour, state.size == wish.size, good.price <= wish.price]
    share = sum(fulfilled) / len(fulfilled)
    return share if good.category == wish.category else WRONG_CATEGORY * share


def _good(shop: Shop, state: State) -> Good:
    return next(good for good in shop.goods if good.id == state.good)
