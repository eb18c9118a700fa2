"""Training: optimizers, schedules, checkpoints, loggers and callbacks around the training step."""
