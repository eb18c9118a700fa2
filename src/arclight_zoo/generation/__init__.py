"""Models that make images: their samples, and how good these are."""
