"""The `openai:` engine over any OpenAI-compatible server; the client library is imported when a server is reached."""

from actorcritic.engines.openai.engine import OpenAIEngine, OpenAIOptions

__all__ = ["OpenAIEngine", "OpenAIOptions"]
