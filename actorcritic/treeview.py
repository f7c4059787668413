"""A search tree for people: as a networkx graph with every attribute, as GraphML or JSON, as lines for a terminal.

Of a policy that is at hand (`to_networkx(policy.tree)`), or of a problem in a run folder, be it done or not:

    for episode in read_episodes(folder):  # actorcritic.trajectory.episodes
        graph = episode_graph(episode)

`actorcritic tree` does that from the command line.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import networkx as nx

from actorcritic.codec import encode
from actorcritic.errors import RecordError
from actorcritic.search.tree import Node, Status, Tree
from actorcritic.trajectory.attempts import EpisodeAttempt
from actorcritic.trajectory.episodes import Episode

if TYPE_CHECKING:
    DiGraph = nx.DiGraph[int | str]
else:
    DiGraph = nx.DiGraph

__all__ = [
    "PROBLEM",
    "episode_graph",
    "render_tree",
    "texts_of",
    "to_graphml",
    "to_json",
    "to_networkx",
    "tree_of",
]

PROBLEM = "problem"
"""Id of the node that stands for the problem itself: the parent of all first attempts."""

NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file can hold; a model may have written them."""

SHOWN = 60
"""Characters of a solution's last line that the terminal shows."""

_Attribute = str | int | float | bool


def tree_of(episode: Episode) -> Tree:
    """Return the search tree of a problem as its log has it; visits and values are known once the search has ended.

    Raises:
        RecordError: the log lacks a trial.
    """
    tree = Tree()
    for number, attempt in enumerate(episode.attempts):
        if attempt.id != number:
            raise RecordError(f"the log of problem {episode.problem.id!r} lacks trial {number}")
        node = tree.add(attempt.trial)
        node.status = _status(attempt)
        node.outcome, node.failure = attempt.outcome, attempt.failure
        if attempt.visits is not None and attempt.value is not None:
            node.visits, node.value = attempt.visits, attempt.visits * attempt.value
    return tree


def _status(attempt: EpisodeAttempt) -> Status:
    if not attempt.settled:
        return Status.ASKED
    if attempt.outcome is not None:
        return Status.DONE
    return Status.CANCELLED if attempt.failure is None else Status.FAILED


def texts_of(episode: Episode) -> dict[int, str]:
    """Return what each trial's solution says, a step per line, under its id."""
    return {
        attempt.id: "\n".join(step.text for step in attempt.solution.steps)
        for attempt in episode.attempts
        if attempt.solution is not None
    }


def episode_graph(episode: Episode) -> DiGraph:
    """Return the search tree of a problem with the solutions' texts; see `to_networkx`.

    The graph's own attributes are `problem` (its id), `answer` and `stopped_by`, as far as there are any.

    Raises:
        RecordError: the log lacks a trial.
    """
    graph = to_networkx(tree_of(episode), texts=texts_of(episode), best=episode.best)
    known = {"problem": episode.problem.id, "answer": episode.answer, "stopped_by": episode.stopped_by}
    graph.graph.update({name: value for name, value in known.items() if value is not None})
    return graph


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


def to_graphml(graph: DiGraph) -> str:
    """Return a tree's graph as GraphML text, readable by any graph program; what XML cannot hold is spelled out."""
    clean: DiGraph = nx.DiGraph()
    clean.graph.update(_for_xml(graph.graph))
    clean.add_nodes_from((node, _for_xml(attributes)) for node, attributes in graph.nodes(data=True))
    clean.add_edges_from(graph.edges)
    buffer = io.BytesIO()
    nx.write_graphml_xml(clean, buffer)
    return buffer.getvalue().decode("utf-8")


def _for_xml(attributes: Mapping[str, _Attribute]) -> dict[str, _Attribute]:
    def clean(value: _Attribute) -> _Attribute:
        return NO_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", value) if isinstance(value, str) else value

    return {name: clean(value) for name, value in attributes.items()}


def to_json(graph: DiGraph) -> str:
    """Return a tree's graph as one line of JSON in node-link form, which `networkx.node_link_graph` reads back.

    An object with `graph` (its attributes), `nodes` (each with `id` and its attributes) and `edges` (`source`,
    `target`).
    """
    return json.dumps(nx.node_link_data(graph, edges="edges"))


def render_tree(tree: Tree, *, best: int | None = None, texts: Mapping[int, str] | None = None) -> str:
    """Return the tree as indented lines, one per trial; the best is marked with `*`.

    Args:
        tree: what a policy has grown.
        best: the trial whose solution is the answer.
        texts: what each trial's solution says, under its id; the last line is shown.
    """
    lines: list[str] = []
    waiting = [(root, "", last) for root, last in _with_last(tree.roots)][::-1]
    while waiting:
        trial, indent, last = waiting.pop()
        node = tree[trial]
        mark = " *" if trial == best else ""
        lines.append(f"{indent}{'└─' if last else '├─'} {_describe(node)}{mark}{_last_line(texts, trial)}")
        deeper = indent + ("   " if last else "│  ")
        waiting += [(child, deeper, end) for child, end in _with_last(node.children)][::-1]
    return "\n".join(lines)


def _last_line(texts: Mapping[int, str] | None, trial: int) -> str:
    """Return the end of what a trial's solution says, to stand behind its line."""
    lines = "" if texts is None else texts.get(trial, "").strip()
    if not lines:
        return ""
    last = lines.splitlines()[-1]
    return f" | {last[:SHOWN]}{'...' if len(last) > SHOWN else ''}"


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
