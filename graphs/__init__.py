"""LangGraph graphs; the only place that imports langgraph."""
