"""A cache of what was computed for token prefixes, shared by all requests: a radix tree with a byte limit.

Samples of one prompt, a critique of a solution and a revision that keeps its first steps all begin alike; each
beginning is computed once. Evicts the leaves that were used longest ago. Knows nothing of models: a block is a tensor
whose dimension 2 counts tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

__all__ = ["PrefixCache"]

_KEEP = 0.9
"""Share of the limit that is kept when it is exceeded, so that evictions come in batches."""


class _Node:
    """The tokens between two branchings, with their block."""

    __slots__ = ("block", "children", "edge", "parent", "used")

    def __init__(self, edge: tuple[int, ...], block: Tensor | None, parent: _Node | None, used: int) -> None:
        self.edge = edge
        self.block = block
        self.parent = parent
        self.children: dict[int, _Node] = {}
        self.used = used


class PrefixCache:
    """Blocks by token prefix. Mutable; owned by one thread.

    Attributes:
        limit_bytes: most bytes held; 0 = nothing is kept.
        size_bytes: bytes held now.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._root = _Node((), None, None, 0)
        self._clock = 0

    def match(self, ids: Sequence[int]) -> list[Tensor]:
        """Return the blocks of the longest known prefix of `ids`, in order; the last may be a part of one."""
        self._clock += 1
        node, done, blocks = self._root, 0, list[Tensor]()
        while done < len(ids) and (child := node.children.get(ids[done])) is not None:
            common = _common(child.edge, ids, done)
            child.used = self._clock
            assert child.block is not None
            blocks.append(child.block if common == len(child.edge) else child.block[:, :, :common])
            done += common
            if common < len(child.edge):
                break
            node = child
        return blocks

    def insert(self, ids: Sequence[int], read: Callable[[int, int], Tensor]) -> None:
        """Keep the prefix `ids`; `read(start, stop)` returns a copy of the block of tokens not known yet."""
        if not self.limit_bytes:
            return
        self._clock += 1
        node, done = self._root, 0
        while done < len(ids) and (child := node.children.get(ids[done])) is not None:
            common = _common(child.edge, ids, done)
            if common < len(child.edge):
                child = self._split(child, common)
            child.used = self._clock
            done += common
            node = child
        if done < len(ids):
            block = read(done, len(ids))
            node.children[ids[done]] = _Node(tuple(ids[done:]), block, node, self._clock)
            self.size_bytes += block.nbytes
        if self.size_bytes > self.limit_bytes:
            self._evict()

    def clear(self) -> None:
        """Forget everything."""
        self._root.children.clear()
        self.size_bytes = 0

    def _split(self, node: _Node, at: int) -> _Node:
        """Cut a node in two and return the upper one."""
        assert node.block is not None and node.parent is not None
        # Copies, not views: a view would keep the whole block alive after one half was evicted.
        upper = _Node(node.edge[:at], node.block[:, :, :at].clone(), node.parent, self._clock)
        node.parent.children[node.edge[0]] = upper
        node.edge, node.block, node.parent = node.edge[at:], node.block[:, :, at:].clone(), upper
        upper.children[node.edge[0]] = node
        return upper

    def _evict(self) -> None:
        target = int(self.limit_bytes * _KEEP)
        while self.size_bytes > target:
            leaves = sorted(self._leaves(), key=lambda leaf: leaf.used)
            for leaf in leaves:
                assert leaf.block is not None and leaf.parent is not None
                del leaf.parent.children[leaf.edge[0]]
                self.size_bytes -= leaf.block.nbytes
                if self.size_bytes <= target:
                    break

    def _leaves(self) -> list[_Node]:
        found, todo = list[_Node](), list(self._root.children.values())
        while todo:
            node = todo.pop()
            if node.children:
                todo.extend(node.children.values())
            else:
                found.append(node)
        return found


def _common(edge: tuple[int, ...], ids: Sequence[int], start: int) -> int:
    """Length of the common beginning of `edge` and `ids[start:]`."""
    part = tuple(ids[start : start + len(edge)])
    if part == edge:
        return len(edge)
    return next((i for i, (a, b) in enumerate(zip(edge, part, strict=False)) if a != b), len(part))
