"""Full-text search over the caller's own documents, as a LangChain tool: SQLite's FTS5, ranked by BM25.

The index is in memory and belongs to its tool. A query is words and nothing else: no operator of the query language
reaches the engine, so no query can raise, and none reads anything but the documents.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from actorcritic.errors import InputError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["DocumentIndex", "Hit", "read_documents", "search_documents_tool"]

MAX_WORDS = 32
"""Of a query; the rest is left out."""
MAX_WORD = 64
"""Characters of a word of a query."""
PASSAGE = 1_500
"""Characters after which a passage ends at the next blank line, or wherever it is at twice as many."""
WORD = re.compile(r"\w+")

DESCRIPTION = """Search the documents for words; returns the passages that fit best, each with the document's name.

Give the few words that the passage should hold. Case and endings of English words do not matter."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found."""

    document: str
    text: str
    score: float
    """BM25, higher fits better; comparable within one search only."""


class DocumentIndex:
    """A full-text index of documents by name. Usable from several threads.

    Args:
        documents: the text of each document by its name.

    Raises:
        InputError: there are no documents, or this Python's SQLite has no FTS5.
    """

    def __init__(self, documents: Mapping[str, str]) -> None:
        if not documents:
            raise InputError("there are no documents to search")
        self._lock = threading.Lock()
        self._base = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            self._base.execute(
                "CREATE VIRTUAL TABLE passages USING fts5(document UNINDEXED, text, tokenize='porter unicode61')"
            )
        except sqlite3.OperationalError as error:
            raise InputError("searching documents needs a Python whose SQLite has FTS5") from error
        for name, text in documents.items():
            clean = _writable(text)
            self._base.executemany(
                "INSERT INTO passages VALUES (?, ?)", ((_writable(name), part) for part in _passages(clean))
            )

    def search(self, query: str, *, limit: int = 5) -> tuple[Hit, ...]:
        """Return the passages that hold most of the query's words, best first; () where none holds any.

        Raises:
            InputError: the limit is below 1.
        """
        if limit < 1:
            raise InputError(f"the limit must be at least 1, not {limit}")
        words = [word[:MAX_WORD] for word in WORD.findall(_writable(query[: 100 * MAX_WORD]))][:MAX_WORDS]
        if not words:
            return ()
        wanted = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            rows = self._base.execute(
                "SELECT document, text, -bm25(passages) FROM passages WHERE passages MATCH ? "
                "ORDER BY bm25(passages), rowid LIMIT ?",
                (wanted, limit),
            ).fetchall()
        return tuple(Hit(*row) for row in rows)

    def close(self) -> None:
        """Free the index; it cannot be searched any more."""
        with self._lock:
            self._base.close()


def read_documents(paths: Iterable[Path]) -> dict[str, str]:
    """Read text files, and folders with all that lies in them, into documents by path.

    Files that are no UTF-8 text are left out of folders.

    Raises:
        InputError: a path does not exist, or a file named by itself is no text.
    """
    documents: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"no such file or folder: {path}")
        for file in sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]:
            try:
                documents[str(file)] = file.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                if file is path:
                    raise InputError(f"{file} is no UTF-8 text") from error
    return documents


def search_documents_tool(documents: Mapping[str, str] | DocumentIndex, *, limit: int = 5) -> BaseTool:
    """Return a tool with the argument `query` that searches these documents.

    Args:
        documents: texts by name (`read_documents` reads files), or an index made before.
        limit: passages per call, >= 1.

    Raises:
        InputError: there are no documents, or the limit is out of range.
    """
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 - keeps the index usable without LangChain

    if limit < 1:
        raise InputError(f"the limit must be at least 1, not {limit}")
    index = documents if isinstance(documents, DocumentIndex) else DocumentIndex(documents)

    def run(query: Annotated[str, "the words to look for"]) -> str:
        hits = index.search(query, limit=limit)
        return "\n\n".join(f"[{hit.document}]\n{hit.text}" for hit in hits) or "nothing found"

    async def arun(query: Annotated[str, "the words to look for"]) -> str:
        return await asyncio.to_thread(run, query)

    return StructuredTool.from_function(
        run, arun, name="search_documents", description=DESCRIPTION, handle_validation_error=True
    )


def _writable(text: str) -> str:
    """Replace what SQLite cannot store: halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def _passages(text: str) -> list[str]:
    """Cut a text at blank lines into passages of some size; one without blank lines by its length."""
    passages: list[str] = []
    current = ""
    for paragraph in re.split(r"\n\s*\n", text):
        current = f"{current}\n\n{paragraph}" if current else paragraph
        while len(current) > 2 * PASSAGE:
            passages.append(current[: 2 * PASSAGE])
            current = current[2 * PASSAGE :]
        if len(current) > PASSAGE:
            passages.append(current)
            current = ""
    return [passage.strip() for passage in (*passages, current) if passage.strip()]
