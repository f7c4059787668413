"""Self-improvement in rounds: what is done in which order, what is learnt from, and what came of it. Pure."""
