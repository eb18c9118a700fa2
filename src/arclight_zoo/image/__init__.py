"""Image models, and tasks with a target per image."""
