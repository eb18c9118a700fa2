"""Searches: a study on the disk whose trials are run directories, executed by workers."""
