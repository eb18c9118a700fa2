"""Python's garbage collector, kept from going through what stays."""

import gc
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

WARM = 10  # batches after which what training needs has been made


class FrozenGarbage(Callback):
    """After the first steps everything that lives is set aside until training ends.

    Model, optimizer and libraries are hundreds of thousands of objects; a full collection goes
    through all of them and takes a tenth of a second, in some step on some process while the others
    wait. What later steps make is collected as ever.
    """

    def __init__(self) -> None:
        self._batches = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batches = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self._batches += 1
        if self._batches == WARM:
            gc.collect()
            gc.freeze()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        gc.unfreeze()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        gc.unfreeze()
