"""Tools that an actor may call and a critic may check with."""

from actorcritic.tools.calculate import calculate_tool

__all__ = ["calculate_tool"]
