"""Execute a run directory: build its parts, train, test, write down."""
