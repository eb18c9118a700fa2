"""Lightning's own callbacks, each enabled by one number in the config."""

from itertools import chain
from typing import Literal

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from arclight.errors import UserError
from arclight.libraries.lightning import average_of, set_average
from arclight.ranges import Natural, NonNegative, Share


def early_stopping(
    patience: Natural | None = None,
    monitor: str | None = None,
    mode: Literal["max", "min"] = "min",
    min_delta: NonNegative = 0.0,
) -> Callback | None:
    """Ends the run after `patience` validations without improvement.

    Args:
        patience: number of validations without improvement; None disables early stopping.
        monitor: the metric that should improve, such as `val/loss`.
        mode: whether a lower (`min`) or a higher (`max`) value is better.
        min_delta: smaller changes do not count as an improvement.

    Raises:
        UserError: `patience` is given without `monitor`.
    """
    if patience is None:
        return None
    if monitor is None:
        raise UserError(
            "callbacks.early_stopping.monitor must be given: the metric that should improve, such "
            "as callbacks.early_stopping.monitor=val/loss."
        )
    return EarlyStopping(
        monitor,
        min_delta,
        patience,
        mode=mode,
        check_finite=False,  # with True, a NaN would end the run as if it had succeeded
        check_on_train_epoch_end=False,
    )


class Average(AveragedModel):
    """torch's average of parameters and buffers, without waiting for the device in each step.

    torch copies the number of updates to the device in each step; here it stays on the CPU.
    """

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        if self.n_averaged == 0:
            super().update_parameters(model)
            return
        by_dtype: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        averaged = chain(self.module.parameters(), self.module.buffers())
        trained = chain(model.parameters(), model.buffers())
        for average, current in zip(averaged, trained, strict=True):
            averages, currents = by_dtype.setdefault(average.dtype, ([], []))
            averages.append(average.detach())
            currents.append(current.detach())
        assert self.multi_avg_fn is not None
        for averages, currents in by_dtype.values():
            self.multi_avg_fn(averages, currents, self.n_averaged)
        self.n_averaged += 1


class Averaging(WeightAveraging):
    """Lightning's weight averaging, with the average on the model's device.

    Lightning creates the average in `setup`, when the model is still on the CPU, and leaves it
    there: each step would copy all weights to the CPU.

    Args:
        decay: of the average, between 0 and 1; each step has the weight `1 - decay`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    @property
    def state_key(self) -> str:
        return WeightAveraging.__qualname__  # its key in checkpoints

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit":
            update = get_ema_multi_avg_fn(self.decay)  # type: ignore[no-untyped-call]
            set_average(self, Average(pl_module, multi_avg_fn=update, use_buffers=True))

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        average_of(self).module.to(pl_module.device)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Each process has the batch-norm statistics of its own batches, and the checkpoint keeps
        # those of the first process: so all processes validate with the first one's.
        if trainer.world_size > 1 and (average := average_of(self)) is not None:
            for buffer in average.module.buffers():
                dist.broadcast(buffer, 0)
        super().on_validation_epoch_start(trainer, pl_module)


def ema(decay: Share | None = None) -> Callback | None:
    """An exponential moving average of the weights, used for validation, checkpoints and the test.

    The buffers (batch-norm statistics) are averaged too.

    Args:
        decay: of the average, such as 0.999; None disables it.
    """
    return None if decay is None else Averaging(decay)
