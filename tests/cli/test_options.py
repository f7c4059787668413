"""What commands share: beside `--resume` and `--from`, an option that would be ignored is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from actorcritic.cli.app import app
from tests.cli.conftest import Command

KEPT = {
    ("solve", "--resume"): {"resume", "as_json"},
    ("bench", "--resume"): {"resume", "as_json"},
    ("critic-eval", "--resume"): {"resume", "as_json"},
    ("collect", "--resume"): {"resume", "as_json", "report", "shard", "processes", "ray"},
    ("collect", "--from"): {
        *("source", "step", "as_json", "actor", "critic", "seed", "concurrency", "limit"),
        *("device", "dtype", "temperature", "max_tokens", "shard", "processes", "ray", "report"),
    },
}
"""What says something beside these."""


def others(command: str, kept: set[str]) -> list[tuple[str, ...]]:
    """Return every other option of a command as it is given, each with a value of its type."""
    found: list[tuple[str, ...]] = []
    for parameter in typer.main.get_command(app).commands[command].params:  # type: ignore[attr-defined]
        if parameter.name in kept or "--help" in parameter.opts:
            continue
        if parameter.param_type_name == "argument":
            found.append(("7",))
        elif parameter.is_flag:
            found.append(((*parameter.secondary_opts, *parameter.opts)[0],))
        else:
            found.append((parameter.opts[0], "7"))
    return found


CASES = [(command, option, given) for (command, option), kept in KEPT.items() for given in others(command, kept)]


@pytest.mark.parametrize(("name", "option", "given"), CASES, ids=lambda value: str(value))
def test_an_option_that_would_be_ignored_is_refused(
    command: Command, tmp_path: Path, name: str, option: str, given: tuple[str, ...]
) -> None:
    step = ("--step", "score") if option == "--from" else ()
    done = command(name, option, tmp_path, *step, *given)
    spelled = given[0] if given[0].startswith("--") else "PROBLEM"
    assert done.code == 2 and done.out == "" and done.err.count("\n") == 1
    assert done.err.startswith(f"error: {option} takes ") and done.err.endswith(f": leave out {spelled}\n")


def test_all_of_them_are_named_as_they_were_given(command: Command) -> None:
    done = command("collect", "--resume", "r", "--strategy", "mcts", "--seed", "0", "--no-prompts")
    assert done.err.endswith("leave out --strategy, --seed, --no-prompts\n")


def test_what_stands_there_by_default_is_not_refused(command: Command, tmp_path: Path) -> None:
    done = command("solve", "--resume", tmp_path, "--json")
    assert done.code == 2 and "is no run folder" in done.err
