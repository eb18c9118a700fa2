"""Your own models, tasks and data."""
