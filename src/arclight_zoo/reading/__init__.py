"""Find data: files, the hub, splits, and what is wrong with a file."""
