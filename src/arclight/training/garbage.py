"""Keeps Python's garbage collector from scanning long-lived objects."""

import gc
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

WARM_UP = 10  # batches after which all long-lived objects of training exist
LIBRARIES = 10_000  # objects, of which libraries make many more; Python itself keeps some hundreds


class FrozenGarbage(Callback):
    """Freezes all existing objects (`gc.freeze`) after the first steps until training ends.

    Model, optimizer and libraries are hundreds of thousands of objects. A full collection scans
    them all and takes a tenth of a second, in any step of any process while the others wait.
    Objects created in later steps are still collected.

    Does nothing if the process has frozen its objects already, as in a multirun.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._already = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batches = 0
        self._already = gc.get_freeze_count() > LIBRARIES

    def on_train_batch_end(self, *_: Any) -> None:
        self._batches += 1
        if self._batches == WARM_UP and not self._already:
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
