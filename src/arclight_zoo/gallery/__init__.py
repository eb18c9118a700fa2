"""Projects of many kinds, each in a folder that knows nothing of the others and can be deleted."""
