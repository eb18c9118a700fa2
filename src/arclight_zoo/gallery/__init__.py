"""Example projects; each folder is independent of the others and can be deleted."""
