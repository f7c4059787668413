"""Forks: the log of a problem on which somebody went back in time and went on from there, as LangGraph allows.

A `forked` event names the event that it goes on from; every other event goes on from the one numbered before it. So
the events of a problem are a tree, and a line is the way from its beginning to one of its ends. The line that the last
event ends is the one that counts. A fork's id is the number of its `forked` event. Knows no policy and no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actorcritic.errors import RecordError
from actorcritic.trajectory.events import Event, Kind

__all__ = ["fork_of", "left_lines", "line_of"]


def line_of(events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the line that counts.

    Args:
        events: Of one problem, all of them, in order.

    Raises:
        RecordError: a fork goes on from an event that is not before it.
    """
    if all(event.kind is not Kind.FORKED for event in events):
        return tuple(events)
    return _line_to(events[-1], events)


def left_lines(events: Sequence[Event]) -> tuple[tuple[Event, ...], ...]:
    """Return the lines that somebody left to go back, in the order of their ends.

    Raises:
        RecordError: see `line_of`.
    """
    followed = {_before(event) for event in events}
    ends = [event for event in events[:-1] if event.seq not in followed]
    return tuple(_line_to(end, events) for end in ends)


def fork_of(line: Iterable[Event]) -> int | None:
    """Return the id of the fork that a line is, None where nobody went back on it."""
    return next((event.seq for event in reversed(tuple(line)) if event.kind is Kind.FORKED), None)


def _line_to(end: Event, events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the line to one of the events."""
    numbered = {event.seq: event for event in events}
    line: list[Event] = []
    place: Event | None = end
    while place is not None:
        line.append(place)
        place = numbered.get(_before(place))
    return tuple(reversed(line))


def _before(event: Event) -> int:
    """Return the number of the event that one goes on from, -1 for the beginning."""
    if event.kind is not Kind.FORKED:
        return event.seq - 1
    after = event.payload.get("after")
    if not isinstance(after, int) or not -1 <= after < event.seq:
        where = f"event {event.seq} of problem {event.problem!r}"
        raise RecordError(f"{where} forks from {after!r}, which is not before it")
    return after
