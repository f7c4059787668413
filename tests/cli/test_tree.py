"""`actorcritic tree`: the search trees of a run folder, shown and exported."""

from __future__ import annotations

import io
import json
from pathlib import Path

import networkx as nx
import pytest

from actorcritic.trajectory.episodes import read_episodes
from actorcritic.treeview import PROBLEM, episode_graph
from tests.cli.conftest import Command


@pytest.fixture
def run(command: Command, problems: Path, tmp_path: Path) -> Path:
    """Search three problems with tree search."""
    folder = tmp_path / "run"
    done = command("solve", "--problems", problems, "--strategy", "mcts:n=4", "--out", folder, "--json")
    assert done.code == 0
    return folder


def test_a_person_sees_every_trial_of_every_problem(command: Command, run: Path) -> None:
    done = command("tree", run)
    lines = done.out.splitlines()
    assert done.code == 0 and sum("─ " in line for line in lines) == 12
    assert lines[0] == "a: Use 7, 13 and 14 to make 15."
    assert "visits" in lines[1] and "score" in lines[1] and " tokens" in lines[1] and " | " in lines[1]
    assert sum(" * | " in line for line in lines) == 3 and lines[5].endswith("(completed)")
    one = command("tree", run, "--problem", "b")
    assert one.out.splitlines() == lines[6:12]


def test_json_and_graphml_read_back_as_the_same_graph(command: Command, run: Path, tmp_path: Path) -> None:
    done = command("tree", run, "--format", "json")
    assert [record["graph"]["problem"] for record in done.records] == ["a", "b", "c"]
    expected = {episode.problem.id: episode_graph(episode) for episode in read_episodes(run)}
    for record in done.records:
        graph = nx.node_link_graph(record, edges="edges")
        assert list(graph.nodes(data=True)) == list(expected[record["graph"]["problem"]].nodes(data=True))
    out = tmp_path / "b.graphml"
    assert command("tree", run, "--problem", "b", "--format", "graphml", "--out", out).out == ""
    graph = nx.read_graphml(io.BytesIO(out.read_bytes()))
    assert graph.number_of_nodes() == 5 and graph.nodes["0"] == expected["b"].nodes[0]
    assert (PROBLEM, "0") in graph.edges and graph.graph["problem"] == "b"


def test_hostile_text_does_nothing_to_the_terminal(command: Command, run: Path) -> None:
    log = run / "events" / "main.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        for step in line["payload"].get("solution", {}).get("steps", ()):
            step["text"] = "\x1b[2J"
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert "\x1b" not in command("tree", run).out and "\\x1b[2J" in command("tree", run).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("RUN", "--format", "png"), "unknown format 'png'; choose from: text, json, graphml"),
        (("RUN", "--problem", "z"), "has no trial of problem 'z'"),
        (("RUN", "--format", "graphml"), "GraphML holds one tree: choose it by --problem, such as 'a'"),
        (("RUN", "--out", "no/such/file"), "cannot write no/such/file"),
        (("nowhere",), "nowhere is no run folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    command: Command, run: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = command("tree", *(run if argument == "RUN" else argument for argument in arguments))
    assert done.code == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1


def test_a_comparison_names_its_searches(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    options = ("--task", "countdown-3", "--limit", 2, "--strategies", "greedy", "--out", folder)
    assert command("bench", *options).code == 0
    refused = command("tree", folder)
    assert refused.code == 2 and "name one of the run folders in" in refused.err
    (search,) = (folder / "searches").iterdir()
    assert command("tree", search).out.count("└─ 0 propose") == 2
