"""Documents are found by their words, best first, and no query raises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.errors import InputError
from actorcritic.tools import search_documents_tool
from actorcritic.tools.search_documents import DocumentIndex, read_documents

DOCUMENTS = {
    "cats": "Cats sleep most of the day.\n\nA cat purrs.",
    "dogs": "Dogs bark. A dog may chase a cat.",
    "long": "\n\n".join(f"Paragraph {number} speaks of nothing at all. " * 20 for number in range(9))
    + "\n\nThe zebra.",
    "café": "Où est la gare? In 東京.",
}
INDEX = DocumentIndex(DOCUMENTS)

HOSTILE = [
    '"', '""', "'", "AND", "OR NOT", "NEAR(a b", "a*", "*", "^a", "text:a", "{text} : a", "-a", "a AND", "(", ")", "\\",
    "'; DROP TABLE passages; --", "\0", "a\0b", "\ud800", "_", "___", "%", "?", "", " ", "🦊", "a" * 100_000,
    "cat " * 10_000, "NEAR", "NOT", "\u0301", "٣", "ʼ", "²", "ͺ",
]  # fmt: skip


def test_the_best_fit_comes_first() -> None:
    hits = INDEX.search("purring cat")
    assert [hit.document for hit in hits] == ["cats", "dogs"] and hits[0].score >= hits[1].score
    assert "purrs" in hits[0].text
    assert INDEX.search("gare")[0].document == INDEX.search("OU")[0].document == "café"
    assert INDEX.search("elephant") == ()
    assert len(INDEX.search("cat", limit=1)) == 1


def test_long_documents_are_found_by_the_passage() -> None:
    (hit,) = INDEX.search("zebra")
    assert hit.document == "long" and hit.text.endswith("The zebra.") and len(hit.text) <= 3000


def test_a_text_without_blank_lines_is_cut_too() -> None:
    index = DocumentIndex({"one": "word " * 5000 + "needle", "odd": "half \ud800 a character\0"})
    (hit,) = index.search("needle")
    assert len(hit.text) <= 3000 and index.search("half")
    index.close()


@pytest.mark.parametrize("query", HOSTILE)
def test_hostile_queries_find_or_find_nothing(query: str) -> None:
    INDEX.search(query)
    assert INDEX.search("zebra")


@settings(deadline=None)
@given(st.text(st.characters()))
def test_no_query_raises(query: str) -> None:
    INDEX.search(query)


@given(st.lists(st.sampled_from(['"', "AND", "NEAR(", "cat", "*", ":", "text", "^", "-", ")", "+", "{"])))
def test_no_mixture_of_operators_raises(parts: list[str]) -> None:
    assert bool(INDEX.search(" ".join(parts))) == ("cat" in parts)


def test_what_cannot_be_searched_is_said() -> None:
    with pytest.raises(InputError, match="no documents"):
        DocumentIndex({})
    with pytest.raises(InputError, match="at least 1"):
        INDEX.search("cat", limit=0)
    with pytest.raises(InputError, match="at least 1"):
        search_documents_tool(INDEX, limit=0)


async def test_the_tool_gives_passages_with_names() -> None:
    tool = search_documents_tool(DOCUMENTS, limit=1)
    assert tool.invoke({"query": "barking"}) == "[dogs]\nDogs bark. A dog may chase a cat."
    assert await tool.ainvoke({"query": "elephant"}) == "nothing found"


def test_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.txt").write_text("alpha", encoding="utf-8")
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe")
    assert read_documents([tmp_path]) == {str(tmp_path / "inner" / "a.txt"): "alpha"}
    with pytest.raises(InputError, match=r"b\.bin is no UTF-8 text"):
        read_documents([tmp_path / "b.bin"])
    with pytest.raises(InputError, match="no such file or folder"):
        read_documents([tmp_path / "none"])
