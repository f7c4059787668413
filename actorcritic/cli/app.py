"""The command line: one command per job, one clear line for bad input.

Exit codes: 0 done; 1 finished but some problem failed; 2 bad usage or input; 130 interrupted.
"""

from __future__ import annotations

import sys

import typer
from typer.exceptions import Abort, TyperException

from actorcritic.cli import bench, collect, critic_eval, explore, export, improve, models, solve, table, train, tree
from actorcritic.errors import ActorCriticError

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="actorcritic",
    help="Critique-in-the-loop agents and test-time scaling.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("solve")(solve.solve)
app.command("bench")(bench.bench)
app.command("collect")(collect.collect)
app.command("explore")(explore.explore)
app.command("export")(export.export)
app.command("train")(train.train)
app.command("improve")(improve.improve)
app.command("critic-eval")(critic_eval.critic_eval)
app.command("tree")(tree.tree)
app.command("query")(table.query)
app.command("table")(table.table)
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line with these arguments; returns the exit code."""
    try:
        code = typer.main.get_command(app).main(args=arguments, prog_name="actorcritic", standalone_mode=False)
    except TyperException as error:
        return _complain(error.format_message())
    except ActorCriticError as error:
        return _complain(str(error))
    except (KeyboardInterrupt, Abort):
        return 130
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    """Say in one line what is wrong; returns the exit code."""
    if message:
        sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 2
