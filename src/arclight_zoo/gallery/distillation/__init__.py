"""A small model that learns from what a larger one thinks."""
