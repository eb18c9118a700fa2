"""How a task is trained: optimizers, schedules, checkpoints and what happens around the step."""
