"""Making any text fit to be written down. Pure."""

from __future__ import annotations

__all__ = ["clean_text"]


def clean_text(text: str) -> str:
    """Return a text that can be written as UTF-8: halves of surrogate pairs that stand alone are replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
