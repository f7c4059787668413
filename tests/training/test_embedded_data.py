"""Training data: exact, never held out, and the same for the same recipe."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np
import pytest

from actorcritic.formats.lines import REASONS, Puzzle
from actorcritic.tasks import countdown, sudoku
from actorcritic.tasks.heldout import split_of
from actorcritic.training.embedded import batches, data
from actorcritic.training.embedded.batches import LENGTH, Mixture, Phase
from actorcritic.training.embedded.data import FAMILIES, LABELS, VOCABULARY, Sample

EVEN = (Phase(0, (0.3, 0.4, 0.3), hasty=0.2, solver=0.1),)
ACTOR = Mixture("actor", 1, EVEN, rows=8, steps=2, revision=(0.4, 0.4, 0.4))
CRITIC = Mixture("critic", 2, EVEN, rows=8, steps=2, partial=0.2)


def text(sample: Sample) -> str:
    return "".join(VOCABULARY[i] for i in sample.ids)


def states(written: str) -> Iterator[str]:
    """Every problem key that a countdown text shows: the numbers before each target, with that target."""
    for line in written.split("\n"):
        left, equals, target = line.partition("=")
        words = left.split()
        if equals and words and words[0] == "numbers":
            yield f"countdown:{','.join(map(str, sorted(map(int, words[1:]))))}->{target}"
        elif equals and len(words) >= 5 and not line.startswith("r"):
            yield f"countdown:{','.join(map(str, sorted(map(int, words[3:]))))}->{target}"


def draw(family: str, count: int, role: str) -> list[tuple[Puzzle, Sample]]:
    rng, found = random.Random(4), []
    for puzzle in data.problems(family, "train", 9):
        if role == "actor":
            sample = data.actor_sample(puzzle, rng, revision=0.5, hasty=0.2)
        else:
            steps = data.corrupted(puzzle, rng)
            sample = data.critic_sample((puzzle, steps), rng, partial=0.2) if steps else None
        if sample is not None:
            found.append((puzzle, sample))
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("role", ["actor", "critic"])
def test_no_sample_shows_a_held_out_problem_or_state(family: str, role: str) -> None:
    seen = 0
    for puzzle, sample in draw(family, 400, role):
        assert split_of(puzzle.key) == "train"
        if family != "sudoku":
            keys = [key for key in states(text(sample)) if key.count(",") >= 2]
            seen += len(keys)
            assert all(split_of(key) == "train" for key in keys)
    assert family == "sudoku" or seen >= 400


def test_a_four_number_problem_over_a_held_out_state_is_left_out() -> None:
    rng = random.Random(0)
    for puzzle in itertools.islice(countdown.generate("train", 3, 4), 300):
        for move in countdown.moves(tuple(sorted(puzzle.numbers))):
            steps = (move.render(),)
            allowed = all(split_of(key) == "train" for key in countdown.state_keys(puzzle, steps))
            assert data.trainable(puzzle, steps) == allowed
            if not allowed:
                assert data.critic_sample((puzzle, steps), rng, partial=0.0) is None
    for held_out in itertools.islice(countdown.generate("test", 3, 4), 20):
        assert not data.trainable(held_out, ())
        assert data.actor_sample(held_out, rng, revision=0.0) is None
    assert not data.trainable(next(sudoku.generate("dev", 1)), ())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_sample_ends_with_a_solution(family: str) -> None:
    rng = random.Random(1)
    for puzzle in itertools.islice(data.problems(family, "train", 2), 50):
        sample = data.actor_sample(puzzle, rng, revision=0.0)
        if sample is not None:
            assert VOCABULARY[sample.ids[-1]] == "<eos>"
            body = "".join(VOCABULARY[i] for i in sample.ids[sample.start : -1])
            assert data.solved(puzzle, _steps(body))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_revision_rejects_a_wrong_step_and_goes_on_rightly(family: str) -> None:
    revisions = 0
    for puzzle, sample in draw(family, 300, "actor"):
        written = text(sample)
        if "reject " in written:
            revisions += 1
            before, _, after = written.partition("reject ")
            block, code, rest = _cut_block(after)
            assert code in REASONS
            kept = _steps(before[before.index("\n", before.find("fill") if family == "sudoku" else 0) + 1 :])
            assert data.solved(puzzle, (*kept, *_steps(rest.removesuffix("<eos>"))))
            assert not rest.startswith(block)
    assert revisions > 60


def _cut_block(after: str) -> tuple[str, str, str]:
    words = after.replace("\n", "\n ").split(" ")
    size = 1 if words[0].startswith("r") else 4
    block = " ".join(words[:size]) + ("" if size == 1 else " ")
    code, _, rest = after.removeprefix(block).partition("\n")
    return block, code, rest


def _steps(body: str) -> tuple[str, ...]:
    found = []
    for line in body.splitlines():
        words = line.split()
        if line.startswith("r"):
            found.append(line.replace("=", " = "))
        elif words:
            found.append(f"{words[0]} {words[1]} {words[2]} = {words[3]}")
    return tuple(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_critic_sample_says_the_exact_label_of_every_line(family: str) -> None:
    kinds: set[str] = set()
    for _, sample in draw(family, 300, "critic"):
        said = [VOCABULARY[i].strip() for i in sample.ids[sample.start : -1]]
        assert said == [LABELS[label] for label in sample.labels]
        assert VOCABULARY[sample.ids[sample.start - 1]] == "judge\n"
        assert len(sample.ends) == len(said)
        assert sample.ends[-1] == sample.start - 2
        kinds.update(said)
    wrong = {"clash", "wrong-value"} if family == "sudoku" else {"bad-result", "not-available", "unreachable"}
    assert kinds == {"ok"} | wrong


def test_a_chunk_is_a_function_of_recipe_and_index() -> None:
    for mixture in (ACTOR, CRITIC):
        first, again, other = (batches.make_chunk(mixture, i) for i in (3, 3, 4))
        assert np.array_equal(first.ids, again.ids)
        assert np.array_equal(first.weights, again.weights)
        assert not np.array_equal(first.ids, other.ids)


def test_packed_rows_keep_samples_apart_and_weigh_only_what_is_to_be_written() -> None:
    chunk = batches.make_chunk(ACTOR, 0)
    assert chunk.ids.shape == (2, 8, LENGTH)
    starts = {VOCABULARY.index("numbers "), VOCABULARY.index("sudoku ")}
    for ids, segments, weights in zip(
        chunk.ids.reshape(-1, LENGTH),
        chunk.segments.reshape(-1, LENGTH),
        chunk.weights.reshape(-1, LENGTH),
        strict=True,
    ):
        filled = segments > 0
        assert filled.mean() > 0.5
        assert all((ids[i] in starts) == (segments[i] != (segments[i - 1] if i else 0)) for i in np.flatnonzero(filled))
        for at in np.flatnonzero(weights):
            assert segments[at] == segments[at + 1] > 0


def test_later_phases_change_the_mixture() -> None:
    only = (Phase(0, (0.0, 0.0, 1.0)), Phase(5, (1.0, 0.0, 0.0)))
    mixture = Mixture("actor", 1, only, rows=4, steps=1)
    clue, number = VOCABULARY.index("sudoku "), VOCABULARY.index("numbers ")
    assert (batches.make_chunk(mixture, 4).ids == clue).any()
    assert not (batches.make_chunk(mixture, 4).ids == number).any()
    assert not (batches.make_chunk(mixture, 5).ids == clue).any()
