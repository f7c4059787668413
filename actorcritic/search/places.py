"""What Monte-Carlo tree search knows of each node while it selects. Knows no formula and no policy."""

from __future__ import annotations

from actorcritic.search.tree import Node

__all__ = ["TreePlace"]


class TreePlace:
    """What selection knows of a node, or of the problem itself, which stands above them all. Mutable.

    One small object per node: all that a way up or down touches lies together.
    """

    __slots__ = ("decay", "doors", "live", "mean", "node", "pending", "ranked", "up", "used")

    def __init__(self, node: Node, up: TreePlace | None) -> None:
        self.node = node
        """Holds visits and value; the problem's own belongs to no tree."""
        self.up = up
        self.pending = 0
        """Trials in flight at or below it that selection was told of."""
        self.used = 0
        """Children that did not fail."""
        self.live = 0
        """Children that are in flight or can be entered."""
        self.doors: list[TreePlace] = []
        """Children that can be entered, in the order of asking."""
        self.mean = 0.0
        self.decay = 0.0
        """1 / (n + shift) ** power of the formula."""
        self.ranked = 0.0
        """Agent Q's value by rank, kept where `alpha` < 1."""
