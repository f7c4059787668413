"""`collect --ray` on a local cluster of two nodes, one of which is killed in the middle: nothing finished is lost."""

from __future__ import annotations

import json
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from actorcritic.cli import cluster
from actorcritic.cli.app import run
from actorcritic.tasks.sources import draw_problems
from actorcritic.trajectory.episodes import read_episodes
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.reader import read_events

PROBLEMS = 120
OPTIONS = ("--strategy", "best-of-n", "--samples", "6", "--width", "1", "--concurrency", "4")


def test_without_ray_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    folder = str(tmp_path / "run")
    assert run(["collect", "--task", "countdown-3", "--limit", "2", "--out", folder, "--ray", "local"]) == 2
    assert capsys.readouterr().err == "error: --ray needs Ray: pip install 'actorcritic[ray]'\n"


def finished(folder: Path) -> list[Event]:
    return [event for event in read_events(folder) if event.kind is Kind.FINISHED]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_node_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ray: Any = pytest.importorskip("ray", reason="make test-full installs it")
    nodes = import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    first, second = nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)
    problems, folder = tmp_path / "problems.jsonl", tmp_path / "run"
    drawn = draw_problems("countdown-4", "dev", PROBLEMS)
    problems.write_text("".join(f"{json.dumps({'id': p.id, 'problem': p.prompt})}\n" for p in drawn), encoding="utf-8")
    at_death: list[Event] = []

    def kill() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and (not (folder / "events").exists() or len(finished(folder)) < 10):
            time.sleep(0.2)
        nodes.remove_node(second, allow_graceful=False)
        at_death.extend(finished(folder))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        ray.init(address=nodes.address, log_to_driver=False)
        arguments = ("--problems", str(problems), "--out", str(folder), "--ray", nodes.address, "--processes", "2")
        assert run(["collect", *arguments, *OPTIONS, "--json"]) == 0
        killer.join()
        assert ray.nodes() and sum(node["Alive"] for node in ray.nodes()) == 2, "the head and the other node"
    finally:
        ray.shutdown()
        nodes.shutdown()
    assert first is not second
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["done"], report["failed"]) == (PROBLEMS, 0)
    episodes = list(read_episodes(folder))
    assert len(episodes) == PROBLEMS and all(episode.finished for episode in episodes)
    assert all(attempt.correct is not None for episode in episodes for attempt in episode.attempts if attempt.complete)
    ends = {event.problem: event for event in finished(folder)}
    assert 10 <= len(at_death) < PROBLEMS
    assert all(ends[event.problem] == event for event in at_death), "what had finished stands as it was"
    assert len(finished(folder)) == PROBLEMS, "and was not searched again"
