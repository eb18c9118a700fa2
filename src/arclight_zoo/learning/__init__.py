"""Losses and metrics for tasks of every modality."""
