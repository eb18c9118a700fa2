"""Commands before a run starts: start, multirun, preflight, batch size."""
