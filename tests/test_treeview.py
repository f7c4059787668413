from __future__ import annotations

import io

import networkx as nx

from actorcritic.search.revise import Revise
from actorcritic.treeview import PROBLEM, render_tree, to_graphml, to_networkx
from tests.search.simulation import outcome, tell_all


def grown() -> Revise:
    policy = Revise(max_revisions=1)
    tell_all(policy, [outcome(0.1, key="a", error=2, logprob=-0.5), outcome(complete=False), None, outcome(0.4)])
    policy.ask()
    return policy


def test_every_attribute_is_there() -> None:
    policy = grown()
    graph = to_networkx(policy.tree, texts={0: "7 + 8 = 15 \u2014 <ok>"}, best=policy.best)
    assert set(graph.edges) == {(PROBLEM, 0), (0, 1), (PROBLEM, 2), (PROBLEM, 3), (PROBLEM, 4)}
    first = graph.nodes[0]
    assert first["vote_key"] == "a"
    assert (first["score"], first["first_error"], first["verdict"], first["logprob"]) == (0.1, 2, "incorrect", -0.5)
    assert first["text"] == "7 + 8 = 15 \u2014 <ok>"
    assert graph.nodes[1]["options"] == '{"critique": true, "revise_from": 2}'
    assert "score" not in graph.nodes[1], "unscored is absent, not 0"
    assert graph.nodes[2]["type"] == "EngineError"
    assert [n for n, best in graph.nodes(data="best") if best] == [3]


def test_graphml_reads_back() -> None:
    policy = grown()
    text = to_graphml(policy.tree, texts={0: "a < b"}, best=policy.best)
    graph = nx.read_graphml(io.BytesIO(text.encode()))
    assert graph.nodes["0"]["score"] == 0.1
    assert graph.nodes["0"]["text"] == "a < b"
    assert graph.number_of_nodes() == 6
    assert nx.is_directed_acyclic_graph(graph)


def test_the_terminal_view() -> None:
    policy = grown()
    assert render_tree(policy.tree, best=policy.best).splitlines() == [
        "├─ 0 propose, incorrect, score 0.10, first error at step 2, 0 tokens",
        "│  └─ 1 revise, unscored, unscored, incomplete, 0 tokens",
        "├─ 2 propose, failed: EngineError",
        "├─ 3 propose, unscored, score 0.40, 0 tokens *",
        "└─ 4 propose, asked",
    ]
    assert render_tree(Revise().tree) == ""
