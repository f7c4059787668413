"""Selection formulas of tree search: mean value plus a bonus for what was tried little. Pure functions of counts.

Every bonus is constant * prior * sqrt(growth(N)) / (n + shift) ** power, where N are the visits of the parent and n
those of the child, trials in flight counted among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["FORMULAS", "Formula"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """One selection formula."""

    constant: str
    """The option that holds its exploration constant."""
    growth: Callable[[float], float]
    """Of the parent's visits, >= 1."""
    shift: float
    power: float
    prior: bool
    """Whether the bonus is in proportion to the child's prior probability."""
    again: bool = False
    """Whether the mean value is divided by the child's visits once more."""


FORMULAS: Mapping[str, Formula] = {
    # Rosin 2011 in the form of Silver et al. 2017 (AlphaZero, arXiv 1712.01815).
    "puct": Formula(constant="c_puct", growth=float, shift=1, power=1, prior=True),
    # Kocsis and Szepesvari 2006 (UCT); with c_uct = sqrt(2) the bonus is that of UCB1.
    "uct": Formula(constant="c_uct", growth=math.log, shift=0, power=0.5, prior=False),
    # Putta et al. 2024 (Agent Q, arXiv 2408.07199), equation 7.
    "agent-q": Formula(constant="c_exp", growth=math.log, shift=1, power=0.5, prior=False),
    # Zhou et al. 2023 (LATS, arXiv 2310.04406) as their program has it: uct over a mean that is averaged twice.
    "lats-code": Formula(constant="c_uct", growth=math.log, shift=0, power=0.5, prior=False, again=True),
}
"""Every formula by its name."""
