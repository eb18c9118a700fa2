"""Reads run directories and creates tables and plots. Nothing here trains."""
