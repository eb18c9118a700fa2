"""Searches: a study on disk, with trials that are run directories executed by workers."""
