"""Knowledge distillation: a small model learns from a larger one's predictions."""
