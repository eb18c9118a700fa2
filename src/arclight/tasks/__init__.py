"""What is learned: Lightning modules that join a model, a loss and its metrics."""
