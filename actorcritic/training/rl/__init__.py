"""Reinforcement: rewards over rows, rollouts, losses, and the methods that wire them to TRL."""
