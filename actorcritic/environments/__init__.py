"""Environments: how an actor acts in one, how a search comes back to a state, and a shop with a known optimum."""
