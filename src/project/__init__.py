"""Your own package: a model, what it learns, and from what. Change these files, or add others."""
