"""The command line."""

from actorcritic.cli.app import main

__all__ = ["main"]
