"""Shared prefixes of token sequences, beside a plain reading of what they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorcritic.prefix_tree import PrefixTree

Ids = st.lists(st.integers(0, 2), max_size=12).map(tuple)


def common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@given(st.lists(Ids, max_size=10), Ids)
def test_match_is_the_longest_common_prefix(sequences: list[tuple[int, ...]], ids: tuple[int, ...]) -> None:
    tree = PrefixTree()
    for sequence in sequences:
        tree.add(sequence)
    assert tree.match(ids) == max((common(ids, s) for s in sequences), default=0)


@given(st.lists(st.tuples(Ids, st.integers(0, 4)), max_size=10), Ids, st.integers(0, 5))
def test_only_what_commits_before_brought_is_seen(
    added: list[tuple[tuple[int, ...], int]], ids: tuple[int, ...], seen: int
) -> None:
    """Commits come in order; a later one never takes a token over from an earlier one."""
    tree = PrefixTree()
    for sequence, commit in sorted(added, key=lambda pair: pair[1]):
        tree.add(sequence, commit)
    assert tree.match(ids, seen) == max((common(ids, s) for s, commit in added if commit < seen), default=0)
