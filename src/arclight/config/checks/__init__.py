"""Check a config against what it builds, before anything is built."""
