"""Tools that an actor may call and a critic may check with."""

from actorcritic.tools.calculate import calculate_tool
from actorcritic.tools.check_answer import check_answer_tool

__all__ = ["calculate_tool", "check_answer_tool"]
