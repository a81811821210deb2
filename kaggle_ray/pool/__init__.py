"""Predictions of a run's trials, joined by id and proven against leaks."""
