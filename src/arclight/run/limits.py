"""Quick trials: shares of the batches below one batch, and rare validations."""

import math
from collections.abc import Iterable, Sized
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from arclight.data.module import DataModule
from arclight.errors import UserError


def at_least_one(settings: dict[str, Any], data: L.LightningDataModule) -> dict[str, Any]:
    """The trainer's settings, with shares below one batch (`limit_val_batches=0.1`) set to 1.

    Lightning rejects such shares. For other data modules see `at_least_one_of`.
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


def at_least_one_of(trainer: L.Trainer | None, stage: str, loaders: Iterable[Any]) -> None:
    """The same for the loaders of plain data modules, once their lengths are known.

    Raises:
        UserError: a loader has no length, so a share is not defined.
    """
    key = f"limit_{stage}_batches"
    share = getattr(trainer, key, None)
    if not isinstance(share, float) or not 0 < share < 1:
        return
    for loader in loaders:
        try:
            length = len(loader) if isinstance(loader, Sized) else None
        except (TypeError, NotImplementedError):
            length = None
        if length is None:
            raise UserError(
                f"trainer.{key}={share} is a share, but the loader is a stream with an unknown "
                f"number of batches: type a number, such as trainer.{key}=20."
            )
        if length and share * length < 1:
            setattr(trainer, key, 1)


class Overfitting(Callback):
    """Lets schedules run before their metric has been logged.

    With `overfit_batches` validations are rare, and Lightning would raise an error for
    `ReduceLROnPlateau` before the first one.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for schedule in trainer.lr_scheduler_configs:
            schedule.strict = False
