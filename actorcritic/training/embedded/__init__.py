"""Trains the embedded actor and critic from nothing, and measures them. The only user of torch in this package."""
