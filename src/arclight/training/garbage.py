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

    Where the process has set its libraries aside already, as that of a multirun, that is enough.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._already = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batches = 0
        self._already = gc.get_freeze_count() > 0

    def on_train_batch_end(self, *_: Any) -> None:
        self._batches += 1
        if self._batches == WARM and not self._already:
            gc.collect()
            gc.freeze()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._release()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._release()

    def _release(self) -> None:
        if not self._already:
            gc.unfreeze()
