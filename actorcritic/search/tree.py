"""The tree that a policy grows: one node per trial, in the order of asking.

A node whose parent is None hangs from the problem itself. The tree is mutable and belongs to one policy; its JSON form
is exact. Knows no policy and no formula: `visits` and `value` are filled in by the policies that have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from actorcritic.codec import decode, encode
from actorcritic.errors import InputError
from actorcritic.types import Failure, JsonValue, Outcome, Trial

__all__ = ["Node", "NodeCount", "Status", "Tree", "node_counts"]


class Status(StrEnum):
    """What became of a trial."""

    ASKED = "asked"
    """In flight."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Was in flight when it stopped to matter."""


@dataclass(slots=True, kw_only=True)
class Node:
    """A trial and what came of it. Mutable."""

    trial: Trial
    status: Status = Status.ASKED
    outcome: Outcome | None = None
    failure: Failure | None = None
    children: list[int] = field(default_factory=list)
    visits: int = 0
    """How many results were backed up through this node, its own included; 0 where a policy does not count."""
    value: float = 0.0
    """Sum of the values backed up; divided by `visits` it is the mean."""

    @property
    def id(self) -> int:
        """The id of the trial."""
        return self.trial.id

    @property
    def parent(self) -> int | None:
        """The node whose solution this one starts from."""
        return self.trial.parent


class Tree:
    """All nodes of one search. Mutable; node i is trial i."""

    __slots__ = ("nodes", "roots")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.roots: list[int] = []
        """The nodes without a parent, in order."""

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, trial: int) -> Node:
        """Return the node of a trial.

        Raises:
            InputError: the trial was never asked.
        """
        if not 0 <= trial < len(self.nodes):
            raise InputError(f"trial {trial} was never asked: {len(self.nodes)} trials so far")
        return self.nodes[trial]

    def add(self, trial: Trial) -> Node:
        """Hang a new trial into the tree."""
        node = Node(trial=trial)
        self.nodes.append(node)
        siblings = self.roots if trial.parent is None else self.nodes[trial.parent].children
        siblings.append(trial.id)
        return node

    def children(self, trial: int | None) -> list[int]:
        """Return the children of a node; None = the problem itself."""
        return self.roots if trial is None else self.nodes[trial].children

    def depth(self, trial: int) -> int:
        """Return how many ancestors a node has."""
        depth, parent = 0, self.nodes[trial].parent
        while parent is not None:
            depth, parent = depth + 1, self.nodes[parent].parent
        return depth

    def to_json(self) -> list[JsonValue]:
        """Return the nodes in order; children follow from the parents."""
        return [_node_to_json(node) for node in self.nodes]

    @classmethod
    def from_json(cls, data: JsonValue) -> Tree:
        """Return the tree that `to_json` described.

        Raises:
            RecordError: the data has another shape.
        """
        tree = cls()
        for item in data if isinstance(data, list) else []:
            saved = decode(_SavedNode, item)
            node = tree.add(saved.trial)
            node.status, node.outcome, node.failure = saved.status, saved.outcome, saved.failure
            node.visits, node.value = saved.visits, saved.value
        return tree


@dataclass(frozen=True, slots=True, kw_only=True)
class _SavedNode:
    """A node as it is written."""

    trial: Trial
    status: Status
    outcome: Outcome | None = None
    failure: Failure | None = None
    visits: int = 0
    value: float = 0.0


def _node_to_json(node: Node) -> JsonValue:
    saved = _SavedNode(
        trial=node.trial,
        status=node.status,
        outcome=node.outcome,
        failure=node.failure,
        visits=node.visits,
        value=node.value,
    )
    return encode(saved)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCount:
    """What a search thought of a node in the end."""

    visits: int
    """Results backed up through it, >= 1."""
    value: float
    """Their mean, in [0, 1]."""


def node_counts(policy: object) -> dict[int, NodeCount]:
    """Return visits and mean values by trial; empty where a policy has no tree or does not count."""
    tree = getattr(policy, "tree", None)
    nodes = tree.nodes if isinstance(tree, Tree) else []
    return {node.id: NodeCount(visits=node.visits, value=node.value / node.visits) for node in nodes if node.visits}
