"""Images by taking noise away, a little at a time."""
