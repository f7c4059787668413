"""Tools that an actor may call and a critic may check with."""

from actorcritic.tools.calculate import calculate_tool
from actorcritic.tools.check_answer import check_answer_tool
from actorcritic.tools.mcp import mcp_tools
from actorcritic.tools.python import python_tool
from actorcritic.tools.run_tests import run_tests_tool
from actorcritic.tools.search_documents import search_documents_tool

__all__ = [
    "calculate_tool",
    "check_answer_tool",
    "mcp_tools",
    "python_tool",
    "run_tests_tool",
    "search_documents_tool",
]
