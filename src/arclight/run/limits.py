"""Shares of the batches, for quick tries, that come to less than one."""

import math
from typing import Any

import lightning as L

from arclight.data.module import DataModule


def at_least_one(settings: dict[str, Any], data: L.LightningDataModule) -> dict[str, Any]:
    """The trainer's settings, where a share of few batches (`limit_val_batches=0.1`) is one batch.

    Lightning refuses such a share. A data module of loaders of its own is left to it.
    """
    if not isinstance(data, DataModule):
        return settings
    cut, sizes = settings.get("accumulate_grad_batches", 1), data.facts.sizes
    evaluated = data.evaluated_at_once(cut)
    batches = {
        "train": sizes["train"] // data.batch_size * cut,
        "val": math.ceil(sizes["val"] / evaluated),
        "test": math.ceil(sizes["test"] / evaluated),
    }
    limits = {}
    for stage, count in batches.items():
        key = f"limit_{stage}_batches"
        share = settings.get(key)
        if isinstance(share, float) and 0 < share * count < 1:
            limits[key] = 1
    return {**settings, **limits}
