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
        seed = torch_seed("step", self.seed, done, trainer.global_rank)
        # torch.manual_seed formats the whole stack for each kind of device not yet in use: 0.5 ms.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif pl_module.device.type == "mps":
            torch.mps.manual_seed(seed)
