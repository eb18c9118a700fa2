"""Your own package: a model, a task and data. Change these files, or add others."""
