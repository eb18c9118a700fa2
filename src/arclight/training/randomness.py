"""Random numbers of the model as a pure function of (seed, step, process)."""

import random
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from arclight.seeds import torch_seed
from arclight.tasks.task import Task


class StepSeeds(Callback):
    """Seeds torch before each batch, so resuming needs no generator state from the checkpoint.

    The seed depends on the number of batches, not of optimizer steps: accumulated batches draw
    different numbers. If the module is not a `Task`, numpy and `random` are seeded too, also at the
    start of each epoch.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._seed("epoch", trainer, pl_module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any
    ) -> None:
        self._seed("step", trainer, pl_module)

    def _seed(self, purpose: str, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        done = trainer.fit_loop.epoch_loop.total_batch_idx
        seed = torch_seed(purpose, self.seed, done, trainer.global_rank)
        # torch.manual_seed formats the whole stack for each kind of device not yet in use: 0.5 ms.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif pl_module.device.type == "mps":
            torch.mps.manual_seed(seed)
        if not isinstance(pl_module, Task):
            random.seed(seed)
            np.random.seed(seed & 0xFFFFFFFF)
