"""Tools that an actor may call and a critic may check with."""

from actorcritic.tools.calculator import calculate, calculate_tool

__all__ = ["calculate", "calculate_tool"]
