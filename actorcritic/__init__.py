"""Critique-in-the-loop agents and test-time scaling."""
