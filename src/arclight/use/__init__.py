"""Uses a trained run: evaluation, prediction, export, reproduction."""
