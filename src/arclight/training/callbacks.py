"""Lightning's own callbacks, switched on by one number of the config."""

from typing import Literal

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that, resumed after it had decided to stop, stops."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def early_stopping(
    patience: int | None = None,
    monitor: str = "val/loss",
    mode: Literal["max", "min"] = "min",
    min_delta: float = 0.0,
) -> Callback | None:
    """Ends the run after `patience` validations without improvement; None: no early stopping."""
    if patience is None:
        return None
    return ResumableEarlyStopping(
        monitor,
        min_delta,
        patience,
        mode=mode,
        check_finite=False,  # which would end the run as if it had succeeded
        check_on_train_epoch_end=False,
    )


def ema(decay: float | None = None) -> Callback | None:
    """An exponential moving average of the weights, which is validated, saved and tested.

    The buffers (batch-norm statistics) are averaged too. None: no average.
    """
    if decay is None:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return WeightAveraging(use_buffers=True, multi_avg_fn=average)
