"""The child process behind `reasoning-gym` problems: makes them and scores answers with reasoning_gym itself.

Runs as a script. An answer is hostile: some of the library's verifiers evaluate it
as Python or hand it to SymPy, which does. Here they read literals and plain formulas instead, and beneath that the
process may start no other, write no file and open no connection.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import resource
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from actorcritic.answers.answering import answer_lines

__all__ = ["EVALUATING", "PARSING", "forbid", "guard", "reply"]

# The library and its entries, dictionaries of anything. It is looked up at run time: type checks do without it.
_Value: TypeAlias = Any

MAX_MEMORY = 4 * 1024**3
"""Bytes of address space."""
CHUNK = 500
"""Problems of one dataset object, as many as the library makes unless told otherwise."""
NEEDS_PARTS = frozenset({"composite"})
"""Datasets that are made of others, which a name alone does not say."""

EVALUATING = (
    "algorithmic.binary_matrix",
    "algorithmic.spiral_matrix",
    "algorithmic.string_insertion",
    "games.n_queens",
)
"""Modules that call `eval` on an answer; a list is all that they expect."""
PARSING = (
    "algebra.intermediate_integration",
    "algebra.polynomial_multiplication",
    "algebra.simple_integration",
    "games.countdown",
    "games.puzzle24",
)
"""Modules that call SymPy's `parse_expr` on an answer."""

_FORMULA = re.compile(r"[\w\s+\-*/^().,=!|]*")
_REACH_INSIDE = re.compile(r"__|[\w)]\s*\.\s*[^\W\d]")
_FORBIDDEN = ("ctypes.", "os.", "pty.", "shutil.", "socket.", "subprocess.", "tempfile.")
_HARMLESS = frozenset({"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr"})


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def reply(question: Mapping[str, _Value]) -> _Value:
    """Answer one question.

    `{"names": true}`: the names of all datasets. `{"name", "seed", "first", "count"}`: the questions of so many
    problems. With `"question"` and `"answer"` instead of a count: the answer's score in [0, 1], None if the problem
    has become another one.
    """
    if "names" in question:
        return sorted(import_module("reasoning_gym.factory").DATASETS.keys() - NEEDS_PARTS)
    dataset = _dataset(question["name"], question["seed"])
    first = question["first"]
    if "answer" not in question:
        return [dataset[at]["question"] for at in range(first, min(CHUNK, first + question["count"]))]
    entry = dataset[first]
    if entry["question"] != question["question"]:
        return None
    return float(dataset.score_answer(question["answer"], entry))


@functools.lru_cache(maxsize=8)
def _dataset(name: str, seed: int) -> _Value:
    return import_module("reasoning_gym").create_dataset(name, seed=seed, size=CHUNK)


def guard(parse: Callable[..., _Value]) -> Callable[..., _Value]:
    """Return a parser that takes plain formulas only: no quotes, no attributes, no double underscores."""

    def parse_formula(text: str, *args: _Value, **kwargs: _Value) -> _Value:
        if not _FORMULA.fullmatch(text) or _REACH_INSIDE.search(text):
            raise ValueError("not a plain formula")
        return parse(text, *args, **kwargs)

    return parse_formula


def _disarm() -> None:
    """Let the verifiers that evaluate an answer read it instead."""
    safe = guard(import_module("sympy.parsing.sympy_parser").parse_expr)
    vars(import_module("sympy"))["parse_expr"] = safe
    for name in PARSING:
        module = import_module(f"reasoning_gym.{name}")
        if hasattr(module, "parse_expr"):
            vars(module)["parse_expr"] = safe
    for name in EVALUATING:
        vars(import_module(f"reasoning_gym.{name}"))["eval"] = ast.literal_eval


def forbid(event: str, arguments: tuple[_Value, ...]) -> None:
    """Refuse, as an audit hook, what no verifier needs: processes, connections, and files to write."""
    if (event == "open" and arguments[2] & _WRITING) or (event.startswith(_FORBIDDEN) and event not in _HARMLESS):
        raise PermissionError(f"not allowed here: {event}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    sys.dont_write_bytecode = True
    import_module("reasoning_gym")
    _disarm()
    requests, replies = sys.stdin, sys.stdout
    # What a library prints is no reply, and what an answer reads is no question.
    sys.stdin, sys.stdout = open("/dev/null"), sys.stderr
    sys.addaudithook(forbid)
    answer_lines(reply, requests, replies, float(sys.argv[1]))
