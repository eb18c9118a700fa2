"""What the name of a metric says about it."""

import re

_DIRECTIONS = {
    **dict.fromkeys(("loss", "error", "perplexity", "bits", "latency", "nll", "wer", "cer"), "min"),
    **dict.fromkeys(("rmse", "mse", "mae", "seconds", "parameters"), "min"),
    **dict.fromkeys(("acc", "accuracy", "f1", "auroc", "auc", "iou", "dice", "r2", "bleu"), "max"),
}


def better_direction(name: str) -> str | None:
    """Whether lower or higher values are better, `min` or `max`; None if the name does not say.

    The last known word decides: `val/dice_loss` and `test/bits_per_byte` should be low.
    """
    words = reversed(re.split(r"[/_.]", name.lower()))
    return next((_DIRECTIONS[word] for word in words if word in _DIRECTIONS), None)
