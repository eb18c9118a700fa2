"""The model's randomness as a pure function of (seed, step, process)."""

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from arclight.seeds import torch_seed


class StepSeeds(Callback):
    """Seeds torch before each batch, so that dropout needs nothing from a checkpoint to resume.

    The counter is that of batches, not of optimizer steps: the parts of an accumulated batch
    draw different numbers.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        done = trainer.fit_loop.epoch_loop.total_batch_idx
        torch.manual_seed(torch_seed("step", self.seed, done, trainer.global_rank))
