"""Reading run directories: figures and tables. Nothing here trains."""
