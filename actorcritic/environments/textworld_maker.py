"""Makes one game in words, in a process of its own: `python -m actorcritic.environments.textworld_maker JSON GAME.z8`.

TextWorld's generator draws from the seeds that it is given and from the order of sets: a process with a fixed hash seed
(see `textworld.TextWorldGames`) makes the same game every time, and takes no interpreter lock from a search. The first
argument is the cooking game's settings as JSON, with `seed`. Knows no search.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

__all__ = ["make_game"]


def make_game(settings: dict[str, object], file: Path) -> None:
    """Write a game and, beside it under the same name, its description.

    Args:
        settings: Of TextWorld's cooking game, with `seed`, >= 1.
        file: Where the game goes; ends in `.z8`.
    """
    textworld = import_module("textworld")
    cooking = import_module("textworld.challenges.tw_cooking.cooking")
    options = textworld.GameOptions()
    options.seeds = settings.pop("seed")
    options.path = str(file)
    textworld.generator.compile_game(cooking.make(settings, options), options)


if __name__ == "__main__":
    make_game(json.loads(sys.argv[1]), Path(sys.argv[2]))
