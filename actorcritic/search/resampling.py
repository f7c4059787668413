"""Resampling of particles: which of them go on, and how often. Pure functions of weights and a generator.

All four are unbiased, place i is drawn count * weight_i times on average; they differ in how much chance is left
(Douc, Cappe, Moulines 2005, arXiv cs/0507025).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

__all__ = ["RESAMPLING", "multinomial", "residual", "stratified", "systematic"]


def multinomial(weights: Sequence[float], count: int, draw: random.Random) -> list[int]:
    """Draw each place on its own."""
    return draw.choices(range(len(weights)), weights=weights, k=count)


def stratified(weights: Sequence[float], count: int, draw: random.Random) -> list[int]:
    """Draw one point in each of `count` equal parts of the unit interval."""
    return _pick(weights, [(part + draw.random()) / count for part in range(count)])


def systematic(weights: Sequence[float], count: int, draw: random.Random) -> list[int]:
    """Draw one point and step on from it by equal strides."""
    start = draw.random()
    return _pick(weights, [(part + start) / count for part in range(count)])


def residual(weights: Sequence[float], count: int, draw: random.Random) -> list[int]:
    """Give each place the whole part of its share and draw the rest by what is left over."""
    total = sum(weights)
    shares = [count * weight / total for weight in weights]
    # A share that is whole but for rounding is whole.
    wholes = [int(share + 1e-9) for share in shares]
    chosen = [place for place, whole in enumerate(wholes) for _ in range(whole)]
    rest = count - len(chosen)
    left = [max(0.0, share - whole) for share, whole in zip(shares, wholes, strict=True)]
    return chosen + (multinomial(left, rest, draw) if rest else [])


def _pick(weights: Sequence[float], points: Sequence[float]) -> list[int]:
    """Return where rising points in [0, 1) fall among the weights laid end to end."""
    bounds = list(accumulate(weights))
    # The last place with any weight takes what rounding leaves over.
    last = max(place for place, weight in enumerate(weights) if weight > 0)
    chosen: list[int] = []
    place = 0
    for point in points:
        while place < last and bounds[place] <= point * bounds[-1]:
            place += 1
        chosen.append(place)
    return chosen


RESAMPLING: Mapping[str, Callable[[Sequence[float], int, random.Random], list[int]]] = {
    "multinomial": multinomial,
    "systematic": systematic,
    "stratified": stratified,
    "residual": residual,
}
"""Every method by its name."""
