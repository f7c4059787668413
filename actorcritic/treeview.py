"""A search tree for people: as a networkx graph with every attribute, as GraphML text, as lines for a terminal.

Knows trees only; what a node's solution says is handed in beside them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import networkx as nx

from actorcritic.codec import encode
from actorcritic.search.tree import Node, Status, Tree

if TYPE_CHECKING:
    DiGraph = nx.DiGraph[int | str]
else:
    DiGraph = nx.DiGraph

__all__ = ["PROBLEM", "render_tree", "to_graphml", "to_networkx"]

PROBLEM = "problem"
"""Id of the node that stands for the problem itself: the parent of all first attempts."""

_Attribute = str | int | float | bool


def to_networkx(tree: Tree, *, texts: Mapping[int, str] | None = None, best: int | None = None) -> DiGraph:
    """Return the tree as a directed graph, parents to children; an attribute without a value is absent.

    Args:
        tree: what a policy has grown.
        texts: what each trial's solution says, under its id.
        best: the trial whose solution is the answer.
    """
    graph: DiGraph = nx.DiGraph()
    graph.add_node(PROBLEM, status=PROBLEM)
    for node in tree:
        graph.add_node(node.id, **_attributes(node), best=node.id == best)
        if texts is not None and node.id in texts:
            graph.nodes[node.id]["text"] = texts[node.id]
        graph.add_edge(PROBLEM if node.parent is None else node.parent, node.id)
    return graph


def to_graphml(tree: Tree, *, texts: Mapping[int, str] | None = None, best: int | None = None) -> str:
    """Return the tree as GraphML text, readable by any graph program."""
    buffer = io.BytesIO()
    nx.write_graphml_xml(to_networkx(tree, texts=texts, best=best), buffer)
    return buffer.getvalue().decode("utf-8")


def render_tree(tree: Tree, *, best: int | None = None) -> str:
    """Return the tree as indented lines, one per trial; the best is marked with `*`."""
    lines: list[str] = []
    waiting = [(root, "", last) for root, last in _with_last(tree.roots)][::-1]
    while waiting:
        trial, indent, last = waiting.pop()
        node = tree[trial]
        mark = " *" if trial == best else ""
        lines.append(f"{indent}{'└─' if last else '├─'} {_describe(node)}{mark}")
        deeper = indent + ("   " if last else "│  ")
        waiting += [(child, deeper, end) for child, end in _with_last(node.children)][::-1]
    return "\n".join(lines)


def _with_last(children: list[int]) -> list[tuple[int, bool]]:
    """Return each child and whether it is the last one."""
    return [(child, child == children[-1]) for child in children]


def _attributes(node: Node) -> dict[str, _Attribute]:
    """Return everything that a node holds, flat."""
    attributes: dict[str, _Attribute] = {
        "action": str(node.trial.action),
        "options": json.dumps(encode(node.trial.options), sort_keys=True),
        "status": str(node.status),
        "visits": node.visits,
        "value": node.value,
    }
    if node.failure is not None:
        failure = node.failure
        attributes |= {"where": failure.where, "type": failure.type, "message": failure.message}
    outcome = encode(node.outcome) if node.outcome is not None else {}
    assert isinstance(outcome, dict)
    return attributes | {key: item for key, item in outcome.items() if isinstance(item, str | int | float | bool)}


def _describe(node: Node) -> str:
    """Return one trial in one line."""
    words = [f"{node.id} {node.trial.action}"]
    outcome = node.outcome
    if outcome is None:
        words.append(str(node.status) if node.failure is None else f"{node.status}: {node.failure.type}")
    else:
        words.append(str(outcome.verdict))
        words.append("unscored" if outcome.score is None else f"score {outcome.score:.2f}")
        if outcome.first_error is not None:
            words.append(f"first error at step {outcome.first_error}")
        if not outcome.complete:
            words.append("incomplete")
        words.append(f"{outcome.tokens} tokens")
    if node.visits and node.status is Status.DONE:
        words.append(f"visits {node.visits}, mean {node.value / node.visits:.2f}")
    return ", ".join(words)
