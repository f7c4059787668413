"""Whether a prompt shows what it will not have at inference: the gold answer, a critique, feedback, another attempt.

What a prompt may hold (the problem, the words of its template, what the recipe declares) is taken out of it once; what
is left is searched for everything that the episode hides. So a short gold answer that stands in the problem's own text
is no leak, and the same number in a hint beside it is one. Blank space and case make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from actorcritic.codec import decode
from actorcritic.export.chat import actor_prompt
from actorcritic.export.recipe import Columns, Recipe, Row, Setting, Shown
from actorcritic.templates import load_template
from actorcritic.trajectory.attempts import Derived
from actorcritic.trajectory.episodes import Episode
from actorcritic.types import JsonValue, Solution

__all__ = ["leak", "prompt_text"]

_FIELD = re.compile(r"\{\{[a-z0-9_]+\}\}")
_GAP = "\x00"
FEEDBACK = "feedback"
"""The collection step whose events are the environment's feedback."""
SHORTEST_DERIVED = 12
"""Characters of a text in a collected event that is worth looking for; shorter ones are labels."""


def leak(row: Row, episode: Episode, recipe: Recipe, setting: Setting) -> Shown | None:
    """Return what a row's prompt shows without being allowed to, None where it shows nothing."""
    rest = _plain(prompt_text(row.columns) if row.asked is None else row.asked)
    if not rest:
        return None
    shows = recipe.shown_under(setting.options)
    own = [attempt for attempt in episode.attempts if attempt.id in row.attempts]
    for piece in _longest_first(_asked(episode, recipe, setting)):
        rest = _without(rest, piece)
    for attempt in own if "attempt" in shows else ():
        if attempt.solution is not None:
            rest = _without_solution(rest, attempt.solution)
    for made in episode.derived if "derived" in shows else ():
        if made.trial in row.attempts and isinstance(made.payload.get("solution"), dict):
            rest = _without_solution(rest, decode(Solution, made.payload["solution"]))
    hidden = dict(_hidden(episode))
    # A critique that may stand there may do so however often collection steps have taken it over.
    shown = {_plain(text) for kind in shows for text in hidden[kind]}
    hidden["derived"] = [text for text in hidden["derived"] if _plain(text) not in shown]
    return next((kind for kind in hidden if kind not in shows and _found(rest, hidden[kind])), None)


def prompt_text(columns: Columns) -> str:
    """Return all that a row's model reads before it writes: the prompt, or a chat up to its last answer."""
    if "prompt" in columns:
        return "\n".join(_strings(columns["prompt"]))
    messages = columns.get("messages")
    if isinstance(messages, list) and messages:
        return "\n".join(_strings(messages[:-1]))
    return ""


def _strings(value: JsonValue) -> Iterator[str]:
    """Yield the texts in a value, roles and the names of fields left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, Mapping):
        for name, item in cast("Mapping[str, JsonValue]", value).items():
            if name not in ("role", "type", "id", "tool_call_id"):
                yield from _strings(item)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _asked(episode: Episode, recipe: Recipe, setting: Setting) -> Iterator[str]:
    """Yield the texts that stand in the prompt whatever was tried: the question in its forms, the template's words."""
    for plain in (True, setting.plain):
        for message in actor_prompt(episode.problem, plain=plain):
            yield from _strings(cast("JsonValue", message))
    yield episode.problem.text
    if setting.words.name != "chat":
        yield from _strings(setting.words.ask(episode.problem))
    for name in recipe.templates:
        yield from _FIELD.split(load_template(name).text)


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted({_plain(text) for text in texts}, key=lambda text: (-len(text), text))


def _without(rest: str, piece: str) -> str:
    """Take a piece out once: a second occurrence is somebody's addition."""
    return rest.replace(piece, f" {_GAP} ", 1) if piece else rest


def _without_solution(rest: str, solution: Solution) -> str:
    """Take a solution out as a whole, or as far as its first steps go."""
    whole = next((text for text in map(_plain, _writings(solution)) if text and text in rest), None)
    pieces = [whole] if whole is not None else [_plain(step.text) for step in solution.steps]
    for piece in pieces:
        rest = _without(rest, piece)
    return rest


def _hidden(episode: Episode) -> Mapping[Shown, list[str]]:
    """Return every text of an episode that a prompt may have to do without."""
    critiques = [attempt.critique for attempt in episode.attempts if attempt.critique is not None]
    said = [text for critique in critiques for text in (critique.raw, critique.explanation)]
    said += [step.explanation for critique in critiques for step in critique.steps]
    calls = [call for attempt in episode.attempts for call in attempt.tool_calls]
    derived = [text for made in episode.derived if made.step != FEEDBACK for text in _texts(made)]
    solutions = [attempt.solution for attempt in episode.attempts if attempt.solution is not None]
    return {
        "gold": [] if episode.gold is None else [text for text in (episode.gold.answer, episode.gold.solution) if text],
        "critique": [text for text in said if text],
        "feedback": [text for call in calls for text in _strings(call.result)]
        + [text for made in episode.derived if made.step == FEEDBACK for text in _texts(made)],
        "derived": derived,
        "attempt": [text for solution in solutions for text in _writings(solution)],
    }


def _texts(made: Derived) -> list[str]:
    """Return the texts of a collected event that are worth looking for."""
    texts = _strings(cast("JsonValue", made.payload))
    return [text for text in texts if len(text) >= SHORTEST_DERIVED]


def _writings(solution: Solution) -> tuple[str, str]:
    return solution.raw, solution.text


def _found(rest: str, texts: Iterable[str]) -> bool:
    """Whether one of the texts stands in the rest as whole words and numbers."""
    for text in {_plain(text) for text in texts}:
        if text and text in rest and re.search(rf"(?<![\w.]){re.escape(text)}(?!\w|\.\d)", rest):
            return True
    return False
