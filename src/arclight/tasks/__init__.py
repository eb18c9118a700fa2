"""Tasks: Lightning modules that combine a model, a loss and metrics."""
