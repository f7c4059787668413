"""A run folder comes back as frozen episodes that hold all that exporters need, one problem at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from actorcritic.budget import Spend
from actorcritic.errors import RecordError
from actorcritic.trajectory.episodes import Episode, episode_of, read_episodes
from actorcritic.trajectory.events import Event, Kind
from actorcritic.trajectory.journal import TrajectoryJournal
from actorcritic.trajectory.provenance import ModelOrigin, Provenance, provenance_config
from actorcritic.trajectory.reader import RunFacts
from actorcritic.trajectory.recorder import FileRecorder, MemoryRecorder, create_run
from actorcritic.types import Action, JsonValue, Problem, Reference, Solution, Step
from tests.trajectory.simulation import Parrot, Process, Setup

PROBLEM = Problem(id="p", prompt="?", checker="exact")
GOLD = Reference(answer="a")
FACTS = RunFacts(run="r", created="t", config={"strategy": "mcts", "seed": 3, "width": 2}, problems=1)


def searched(strategy: str = "mcts", trials: int = 12, broken: float = 0.0) -> tuple[Process, list[Event]]:
    recorder = MemoryRecorder()
    process = Process(Setup(strategy=strategy, width=2, trials=trials), Parrot(broken), recorder).run()
    return process, recorder.events


def late(trial: int | None, score: float, *, gold: bool, by: str = "test", time: str = "2026-02-02") -> Event:
    payload: Mapping[str, JsonValue] = {"by": by, "score": score, "gold": gold}
    return Event(kind=Kind.SCORED, run="r", problem="p", seq=0, trial=trial, time=time, payload=payload)


def test_an_episode_holds_what_the_search_brought() -> None:
    process, events = searched()
    episode = episode_of(FACTS, PROBLEM, GOLD, events)
    assert (episode.problem, episode.gold, episode.finished, episode.oracle) == (PROBLEM, GOLD, True, False)
    assert {a.id: (a.solution, a.critique) for a in episode.attempts if a.solution} == {
        trial: (attempt.solution, attempt.critique) for trial, attempt in process.attempts.items()
    }
    nodes = list(process.policy.tree)
    assert [(a.trial, a.outcome, a.settled) for a in episode.attempts] == [(n.trial, n.outcome, True) for n in nodes]
    counts = [(n.visits or None, n.value / n.visits if n.visits else None) for n in nodes]
    assert [(a.visits, a.value) for a in episode.attempts] == counts and any(visits for visits, _ in counts)
    assert (episode.best, episode.spend) == (process.policy.best, process.ledger.spend)
    assert episode.best_attempt is not None and episode.best_attempt.solution is not None
    assert episode.answer == episode.best_attempt.solution.answer
    for attempt in episode.attempts:
        assert attempt.prompt is not None and attempt.prompt.content == str(attempt.calls[0].request.prompt.content)
        assert attempt.seed == attempt.calls[0].request.seed
        assert len(attempt.token_ids) == len(attempt.logprobs) > 0
        assert attempt in episode.children(attempt.parent)
        assert attempt not in episode.siblings(attempt.id)
        assert attempt.correct is None, "nobody has said so"


def test_what_a_trial_wrote_itself_has_no_kept_steps() -> None:
    _, events = searched("mcts:nodes=step")
    episode = episode_of(FACTS, PROBLEM, None, events)
    deeper = [attempt for attempt in episode.attempts if attempt.action is Action.EXTEND and attempt.solution]
    assert deeper
    for attempt in deeper:
        assert attempt.solution is not None
        kept = replace(attempt.solution, kept=1)
        tail = replace(attempt, solution=kept)
        assert tail.token_ids == attempt.solution.token_ids[1:]
        assert len(tail.logprobs) == len(tail.token_ids)
    bare = Solution(steps=(Step(text="a", token_ids=(1,), logprobs=(-1.0,)), Step(text="b")))
    lacking = replace(deeper[0], solution=bare)
    assert (lacking.token_ids, lacking.logprobs) == ((), ()), "a part is neither a continuation nor a probability"


def test_failures_stand_with_their_trials() -> None:
    process, events = searched("best-of-n:n=14", trials=14, broken=0.3)
    episode = episode_of(FACTS, PROBLEM, GOLD, events)
    failed = [attempt for attempt in episode.attempts if attempt.failure is not None]
    assert failed and all(a.solution is None and a.outcome is None and not a.complete for a in failed)
    assert list(episode.failures) == process.failures
    assert sum(failure.where == "critic" for failure in episode.failures), "a critic's failure leaves the solution"


@pytest.mark.parametrize("cut", [1, 4, 9])
def test_an_episode_at_work_is_not_finished(cut: int) -> None:
    _, events = searched()
    episode = episode_of(FACTS, PROBLEM, GOLD, events[:cut])
    assert not episode.finished and episode.best is None and episode.stopped_by is None
    assert not all(attempt.settled for attempt in episode.attempts) or not episode.attempts


def test_the_last_word_with_a_gold_side_counts() -> None:
    process, events = searched()
    journal = MemoryRecorder()
    TrajectoryJournal(journal, run="r", problem="p", next_seq=len(events), now=lambda: "2026-01-01").note(
        Kind.SCORED, process.policy.tree[0].trial, {"by": "checker:exact", "score": 1.0, "gold": True}
    )
    log = [*events, *journal.events]
    first = episode_of(FACTS, PROBLEM, GOLD, log)
    assert first.attempt(0).correct is True and first.attempt(1).correct is None
    assert not first.oracle, "scoring a run afterwards makes it no oracle run"
    thumbed = episode_of(FACTS, PROBLEM, GOLD, log, [late(0, 0.0, gold=False, by="user:thumb")])
    assert thumbed.attempt(0).correct is True
    assert [score.by for score in thumbed.attempt(0).scores] == ["checker:exact", "user:thumb"]
    overruled = episode_of(FACTS, PROBLEM, GOLD, log, [late(0, 0.5, gold=True), late(None, 1.0, gold=True)])
    best = process.policy.best
    assert best is not None and overruled.attempt(best).correct is True, "no trial named: the answer's"
    assert overruled.attempt(0).correct is (best == 0)
    stray = episode_of(FACTS, PROBLEM, GOLD, log, [late(99, 1.0, gold=True)])
    assert (stray.strays, first.strays) == (1, 0) and stray.attempts == first.attempts
    lost = replace(late(99, 1.0, gold=True), seq=len(log))
    with pytest.raises(RecordError, match="trial 99, which was not asked"):
        episode_of(FACTS, PROBLEM, GOLD, [*log, lost])


def test_visits_and_values_of_siblings() -> None:
    _, events = searched()
    end = events[-1]
    tree: dict[str, JsonValue] = {"trials": [0, 1], "visits": [5, 1], "values": [0.25, 1.0]}
    counted = episode_of(FACTS, PROBLEM, GOLD, [*events[:-1], replace(end, payload={**end.payload, "tree": tree})])
    assert [(a.visits, a.value) for a in counted.attempts[:3]] == [(5, 0.25), (1, 1.0), (None, None)]


def test_provenance_is_what_the_start_says_and_else_what_the_log_shows() -> None:
    _, events = searched()
    old = episode_of(FACTS, PROBLEM, GOLD, events)
    assert (old.provenance.strategy, old.provenance.seed, old.provenance.width) == ("mcts", 3, 2)
    assert {origin.role for origin in old.provenance.models} == {"actor", "critic"}
    assert episode_of(replace(FACTS, config={"critic": "oracle"}), PROBLEM, GOLD, events).oracle
    origin = ModelOrigin(role="actor", name="hf:x", model="f", licence="Apache-2.0")
    said = Provenance(library="1", strategy="mcts", seed=3, width=2, oracle=True, models=(origin,))
    start = replace(events[0], payload={"config": {**provenance_config(said), "prompts": False}})
    episode = episode_of(FACTS, PROBLEM, GOLD, [start, *events[1:]])
    assert (episode.provenance, episode.oracle, episode.withheld) == (said, True, True)


def write(folder: Path, ids: list[str], logged: list[str]) -> None:
    """Write a run of these problems, the events of two of them interleaved, in two files."""
    pairs = [(Problem(id=name, prompt="?"), Reference(answer=name)) for name in ids]
    create_run(folder, run="r", config={}, problems=pairs, created="t")
    _, events = searched("best-of-n:n=2", trials=2)
    half = len(events) // 2
    with FileRecorder(folder, "one") as one, FileRecorder(folder, "two") as two:
        for event in events[:half]:
            for name in logged:
                one.record(replace(event, problem=name))
        for event in events[half:]:
            for name in reversed(logged):
                two.record(replace(event, problem=name))


def test_a_folder_is_read_in_the_order_of_its_problems(tmp_path: Path) -> None:
    names = ["b", 'a "quoted" \\ \u2014\n', "c", "never"]
    write(tmp_path, names, ["c", names[1], "b"])
    episodes = list(read_episodes(tmp_path))
    assert [episode.problem.id for episode in episodes] == names[:3]
    assert all(episode.finished and len(episode.attempts) == 2 for episode in episodes)
    assert [episode.gold for episode in episodes] == [Reference(answer=name) for name in names[:3]]
    assert len({repr(replace_names(episode)) for episode in episodes}) == 1


def replace_names(episode: Episode) -> Episode:
    return replace(episode, problem=PROBLEM, gold=None)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no run folder"):
        list(read_episodes(tmp_path))


def test_an_empty_episode() -> None:
    episode = episode_of(FACTS, PROBLEM, None, [])
    assert (episode.attempts, episode.spend, episode.best_attempt) == ((), Spend(), None)
    with pytest.raises(KeyError):
        episode.attempt(0)


def test_what_a_collection_step_made_comes_with_the_episode() -> None:
    _, events = searched()
    made = Event(
        kind=Kind.DERIVED, run="r", problem="p", seq=99, trial=1, time="2026-03-03", payload={"step": "s", "text": "t"}
    )
    whole = replace(made, seq=100, trial=None)
    for episode in (
        episode_of(FACTS, PROBLEM, GOLD, [*events, made, whole]),
        episode_of(FACTS, PROBLEM, GOLD, events, [made, whole]),
    ):
        assert [(d.step, d.trial, d.payload) for d in episode.derived] == [
            ("s", 1, {"text": "t"}),
            ("s", None, {"text": "t"}),
        ]
    with pytest.raises(RecordError, match="not asked"):
        episode_of(FACTS, PROBLEM, GOLD, [*events, replace(made, trial=77)])
