"""Training data: exact, never held out, and the same for the same recipe."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator

import numpy as np
import pytest

from actorcritic.formats.lines import REASONS, Puzzle
from actorcritic.tasks import arithmetic, countdown, sudoku
from actorcritic.tasks.arithmetic import Arithmetic
from actorcritic.tasks.heldout import split_of
from actorcritic.training.embedded import attempts, batches, data
from actorcritic.training.embedded.attempts import FAMILIES
from actorcritic.training.embedded.batches import LENGTH, Mixture, Phase
from actorcritic.training.embedded.data import LABELS, VOCABULARY, Sample

EVEN = (Phase(0, (0.3, 0.4, 0.3, 0.1), hasty=(0.2, 0.0, 0.0, 0.2), solver=0.1),)
ACTOR = Mixture("actor", 1, EVEN, rows=8, steps=2, revision=(0.4, 0.4, 0.4, 0.4))
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
    for puzzle in attempts.problems(family, "train", 9):
        if role == "actor":
            sample = data.actor_sample(puzzle, rng, revision=0.5, hasty_share=0.2)
        else:
            steps = attempts.corrupted(puzzle, rng)
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
        if family == "arithmetic":
            assert isinstance(puzzle, Arithmetic)
            assert all(split_of(key) == "train" for key in arithmetic.state_keys(puzzle, _steps(_after_prompt(sample))))
        elif family != "sudoku":
            keys = [key for key in states(text(sample)) if key.count(",") >= 2]
            seen += len(keys)
            assert all(split_of(key) == "train" for key in keys)
    assert family in ("sudoku", "arithmetic") or seen >= 400


def test_a_four_number_problem_over_a_held_out_state_is_left_out() -> None:
    rng = random.Random(0)
    for puzzle in itertools.islice(countdown.generate("train", 3, 4), 300):
        for move in countdown.moves(tuple(sorted(puzzle.numbers))):
            steps = (move.render(),)
            allowed = all(split_of(key) == "train" for key in countdown.state_keys(puzzle, steps))
            assert attempts.trainable(puzzle, steps) == allowed
            if not allowed:
                assert data.critic_sample((puzzle, steps), rng, partial=0.0) is None
    for held_out in itertools.islice(countdown.generate("test", 3, 4), 20):
        assert not attempts.trainable(held_out, ())
        assert data.actor_sample(held_out, rng, revision=0.0) is None
    assert not attempts.trainable(next(sudoku.generate("dev", 1)), ())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_sample_ends_with_a_solution(family: str) -> None:
    rng = random.Random(1)
    for puzzle in itertools.islice(attempts.problems(family, "train", 2), 50):
        sample = data.actor_sample(puzzle, rng, revision=0.0)
        if sample is not None:
            assert VOCABULARY[sample.ids[-1]] == "<eos>"
            body = "".join(VOCABULARY[i] for i in sample.ids[sample.start : -1])
            assert attempts.solved(puzzle, _steps(body))


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
            assert attempts.solved(puzzle, (*kept, *_steps(rest.removesuffix("<eos>"))))
            assert not rest.startswith(block)
    assert revisions > 60


def _after_prompt(sample: Sample) -> str:
    """The lines of a sample without its problem, its rejected line and its verdicts."""
    lines = text(sample).split("\n")[1:]
    return "\n".join(line for line in lines if re.fullmatch(r"\d+ [-+*] \d+ =\d+", line))


def _cut_block(after: str) -> tuple[str, str, str]:
    words = after.replace("\n", "\n ").split(" ")
    size = 1 if words[0].startswith("r") else 4
    block = " ".join(words[:size]) + ("" if words[size - 1].endswith("\n") else " ")
    code, _, rest = after.removeprefix(block).partition("\n")
    return block, code, rest


def _steps(body: str) -> tuple[str, ...]:
    found = []
    for line in body.splitlines():
        words = line.split()
        if line.startswith("r"):
            found.append(line.replace("=", " = "))
        elif words:
            found.append(f"{words[0]} {words[1]} {words[2]} = {words[3].lstrip('=')}")
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
    wrong = {"sudoku": {"clash", "wrong-value"}, "arithmetic": {"bad-result", "not-available"}}
    assert kinds == {"ok"} | wrong.get(family, {"bad-result", "not-available", "unreachable"})


def test_a_chunk_is_a_function_of_recipe_and_index() -> None:
    for mixture in (ACTOR, CRITIC):
        first, again, other = (batches.make_chunk(mixture, i) for i in (3, 3, 4))
        assert np.array_equal(first.ids, again.ids)
        assert np.array_equal(first.weights, again.weights)
        assert not np.array_equal(first.ids, other.ids)


def test_packed_rows_keep_samples_apart_and_weigh_only_what_is_to_be_written() -> None:
    chunk = batches.make_chunk(ACTOR, 0)
    assert chunk.ids.shape == (2, 8, LENGTH)
    starts = {VOCABULARY.index(head) for head in ("numbers ", "sudoku ", "compute ")}
    assert (chunk.segments > 0).mean() > 0.7
    for ids, segments, weights in zip(
        chunk.ids.reshape(-1, LENGTH),
        chunk.segments.reshape(-1, LENGTH),
        chunk.weights.reshape(-1, LENGTH),
        strict=True,
    ):
        filled = segments > 0
        assert filled.any()
        assert all((ids[i] in starts) == (segments[i] != (segments[i - 1] if i else 0)) for i in np.flatnonzero(filled))
        for at in np.flatnonzero(weights):
            assert segments[at] == segments[at + 1] > 0


def test_later_phases_change_the_mixture() -> None:
    only = (Phase(0, (0.0, 0.0, 1.0, 0.0)), Phase(5, (1.0, 0.0, 0.0, 0.0)))
    mixture = Mixture("actor", 1, only, rows=4, steps=1)
    clue, number = VOCABULARY.index("sudoku "), VOCABULARY.index("numbers ")
    assert (batches.make_chunk(mixture, 4).ids == clue).any()
    assert not (batches.make_chunk(mixture, 4).ids == number).any()
    assert not (batches.make_chunk(mixture, 5).ids == clue).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hasty_solver_fails_where_it_says_anything(family: str) -> None:
    tried = [(p, attempts.hasty(p)) for p in itertools.islice(attempts.problems(family, "train", 5), 100)]
    failures = [(puzzle, steps) for puzzle, steps in tried if steps is not None]
    assert bool(failures) == (family in ("countdown-3", "arithmetic"))
    for puzzle, steps in failures:
        assert not attempts.solved(puzzle, steps) and attempts.vote_key(puzzle, steps) is not None


def test_a_hasty_calculator_forgets_what_is_carried() -> None:
    puzzle = arithmetic.parse("(17 + 8) - (3 * 4)")
    assert puzzle is not None and attempts.hasty(puzzle) == ("17 + 8 = 15", "3 * 4 = 12", "15 - 12 = 3")


def test_every_sample_fits_into_a_row() -> None:
    rng = random.Random(2)
    longest = 0
    for puzzle in itertools.islice(attempts.problems("arithmetic", "train", 8), 400):
        for steps in (attempts.corrupted(puzzle, rng), attempts.finish(puzzle, (), rng)):
            sample = data.critic_sample((puzzle, steps), rng, partial=0.0) if steps else None
            longest = max(longest, len(sample.ids) if sample else 0)
    assert 90 <= longest <= LENGTH


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_attempt_of_the_actor_becomes_its_revision(family: str) -> None:
    rng, made = random.Random(3), 0
    for puzzle in itertools.islice(attempts.problems(family, "train", 4), 60):
        steps = attempts.corrupted(puzzle, rng)
        sample = data.revision_sample((puzzle, steps), rng) if steps else None
        if sample is not None and steps is not None:
            made += 1
            assert not attempts.solved(puzzle, steps) and "reject " in text(sample)
    assert made > 5
