"""Append-only, versioned events: the source of truth of every run."""
