"""What the commands do before there is a run: start, multirun, preflight, batch size."""
