"""A run is a directory: made, described, executed."""
