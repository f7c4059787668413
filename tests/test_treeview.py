from __future__ import annotations

import io
import json
from dataclasses import replace

import networkx as nx
import pytest

from actorcritic.errors import EngineError, RecordError
from actorcritic.graphs.settings import SearchSettings
from actorcritic.graphs.tree_search import new_session, search_problem
from actorcritic.search.revise import Revise
from actorcritic.search.strategies import parse_strategy
from actorcritic.search.tree import Status, Tree
from actorcritic.trajectory.episodes import episode_of
from actorcritic.trajectory.events import Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.reader import RunFacts
from actorcritic.trajectory.recorder import MemoryRecorder
from actorcritic.treeview import PROBLEM, episode_graph, render_tree, to_graphml, to_json, to_networkx, tree_of
from tests.graphs.world import HARD, world
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
    text = to_graphml(to_networkx(policy.tree, texts={0: "a < b", 1: "\x1b[2J\x00 \ud800"}, best=policy.best))
    graph = nx.read_graphml(io.BytesIO(text.encode()))
    assert graph.nodes["0"]["score"] == 0.1
    assert graph.nodes["0"]["text"] == "a < b"
    assert graph.nodes["1"]["text"] == "\\x1b[2J\\x00 \\xd800", "no model can break the file"
    assert graph.number_of_nodes() == 6
    assert nx.is_directed_acyclic_graph(graph)


def test_json_reads_back() -> None:
    policy = grown()
    whole = to_networkx(policy.tree, texts={0: "a\nb"}, best=policy.best)
    graph = nx.node_link_graph(json.loads(to_json(whole)), edges="edges")
    assert list(graph.nodes(data=True)) == list(whole.nodes(data=True)) and set(graph.edges) == set(whole.edges)


@pytest.mark.parametrize("strategy", ["revise", "mcts:n=5", "best-of-n:n=4"])
async def test_the_tree_of_a_log_is_the_tree_that_the_policy_grew(strategy: str) -> None:
    how = SearchSettings(strategy=parse_strategy(strategy), seed=4)
    recorder = MemoryRecorder()
    journal = TrajectoryJournal(recorder, run="r", problem=HARD.id)
    journal.started()
    session = new_session(HARD, how, journal)
    result = await search_problem(session, *world(failures={2: EngineError("lost")}), how)
    facts = RunFacts(run="r", created="", config={}, problems=1)
    episode = episode_of(facts, HARD, None, recorder.events)
    grown = getattr(session.policy, "tree", None)
    assert isinstance(grown, Tree) and len(grown) > 2
    read = tree_of(episode)
    assert [(n.trial, n.status, n.outcome, n.failure, n.children, n.visits) for n in read] == [
        (n.trial, n.status, n.outcome, n.failure, n.children, n.visits) for n in grown
    ]
    assert [node.value for node in read] == pytest.approx([node.value for node in grown])
    graph = episode_graph(episode)
    assert graph.graph["problem"] == HARD.id and graph.graph["stopped_by"] == result.stopped_by
    assert [node for node, best in graph.nodes(data="best") if best] == [result.best]
    solution = session.attempts[result.best or 0].solution
    assert graph.nodes[result.best or 0]["text"] == "\n".join(step.text for step in solution.steps)


async def test_a_log_that_broke_off_has_a_tree_too_and_one_with_a_hole_has_none() -> None:
    how = SearchSettings(strategy=parse_strategy("majority:n=3"), seed=4)
    recorder = MemoryRecorder()
    journal = TrajectoryJournal(recorder, run="r", problem=HARD.id)
    journal.started()
    await search_problem(new_session(HARD, how, journal), *world(), how)
    facts = RunFacts(run="r", created="", config={}, problems=1)
    asked = [number for number, event in enumerate(recorder.events) if event.kind is Kind.ASKED]
    episode = episode_of(facts, HARD, None, recorder.events[: asked[2] + 1])
    assert [node.status for node in tree_of(episode)] == [Status.DONE, Status.DONE, Status.ASKED]
    assert "answer" not in episode_graph(episode).graph
    with pytest.raises(RecordError, match="lacks trial 0"):
        tree_of(replace(episode, attempts=episode.attempts[1:]))


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
    shown = render_tree(policy.tree, texts={0: "7 + 8 = 15\n" + "9" * 70, 1: " "}).splitlines()
    assert shown[0].endswith(f"0 tokens | {'9' * 60}...") and shown[1].endswith("0 tokens")
