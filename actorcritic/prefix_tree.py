"""The token sequences of one problem and model as a tree of shared prefixes; a bill of logical tokens is read from it.

Compressed: an edge holds a run of tokens and is compared as a whole. Knows no budget and no engine.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["PrefixTree"]

ALL = 2**62


class _Edge:
    """A run of tokens that belong to one commit, and what follows it. Mutable."""

    __slots__ = ("born", "label", "next")

    def __init__(self, label: tuple[int, ...], born: int) -> None:
        self.label = label
        self.born = born
        self.next: dict[int, _Edge] = {}

    def split(self, length: int) -> None:
        """Leave the first tokens here and move the others onto an edge behind them."""
        rest = _Edge(self.label[length:], self.born)
        rest.next = self.next
        self.label, self.next = self.label[:length], {rest.label[0]: rest}


class PrefixTree:
    """All token sequences of one problem and model. Mutable; each token remembers the commit that brought it."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: dict[int, _Edge] = {}

    def match(self, ids: Sequence[int], seen: int = ALL) -> int:
        """Return how many leading ids are in the tree, among the tokens of commits before number `seen`."""
        ids, at, edges = tuple(ids), 0, self._first
        while at < len(ids):
            edge = edges.get(ids[at])
            if edge is None or edge.born >= seen:
                return at
            shared = _shared(edge.label, ids, at)
            at += shared
            if shared < len(edge.label):
                return at
            edges = edge.next
        return at

    def add(self, ids: Sequence[int], commit: int = 0) -> None:
        """Put a sequence into the tree as part of the given commit; what is there already stays of its own commit."""
        ids, at, edges = tuple(ids), 0, self._first
        while at < len(ids):
            edge = edges.get(ids[at])
            if edge is None:
                edges[ids[at]] = _Edge(ids[at:], commit)
                return
            shared = _shared(edge.label, ids, at)
            at += shared
            if at < len(ids) and shared < len(edge.label):
                edge.split(shared)
            edges = edge.next


def _shared(label: tuple[int, ...], ids: tuple[int, ...], at: int) -> int:
    """Return how many tokens of an edge stand in a sequence from position `at` on."""
    end = at + len(label)
    if ids[at:end] == label:
        return len(label)
    return next(
        (i for i, (ours, theirs) in enumerate(zip(label, ids[at:end], strict=False)) if ours != theirs), len(ids) - at
    )
