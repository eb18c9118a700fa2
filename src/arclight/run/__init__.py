"""Executes a run directory: builds its parts, trains, tests and records the results."""
