"""The command line."""

from actorcritic.cli.main import main

__all__ = ["main"]
