"""Learning-rate schedules of a run that is extended to another end."""

import copy
import warnings
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from arclight.config.extensions import Extend
from arclight.errors import UserError
from arclight.training.checkpoint_files import step_of

__all__ = ["ExtendedSchedules", "Held"]


class Held(LRScheduler):
    """Leaves the learning rates as they are."""

    def get_lr(self) -> list[Any]:
        return [group["lr"] for group in self.optimizer.param_groups]


class ExtendedSchedules(Callback):
    """Moves the schedules to where an extension begins; after that they resume like any others.

    Schedules are created again for the new end. `ReduceLROnPlateau` keeps its state, unless it
    restarts.

    Args:
        extend: `stretch` continues at the current step as if the run had always had this end,
            `restart` starts from the beginning, `constant` keeps the learning rates as they are.
        step: the step at which the extension begins.
    """

    def __init__(self, extend: Extend, step: int) -> None:
        self.extend, self.step = extend, step
        self._before: list[dict[str, Any]] | None = None
        self._fresh: list[list[dict[str, Any]]] = []

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        step = step_of(checkpoint)
        if step > self.step:
            return
        if step < self.step and self.extend == "restart":
            raise UserError(
                f"The newest checkpoint that can be read is of step {step}, and the schedule "
                f"restarted at step {self.step}: put back a newer one, or start a new run."
            )
        self._before = checkpoint["lr_schedulers"]
        checkpoint["lr_schedulers"] = []  # their state contains the old lengths

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Between the making of the schedules and the loading of their state."""
        if self.extend == "constant":
            for config in trainer.lr_scheduler_configs:
                config.scheduler = Held(config.scheduler.optimizer)
                config.reduce_on_plateau = False
        self._fresh = [
            copy.deepcopy([_settings(group) for group in config.scheduler.optimizer.param_groups])
            for config in trainer.lr_scheduler_configs
        ]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._before is None:
            return
        for config, groups, before in zip(
            trainer.lr_scheduler_configs, self._fresh, self._before, strict=True
        ):
            schedule: Any = config.scheduler
            if self.extend == "constant":
                schedule.last_epoch = before["last_epoch"]
            elif self.extend == "stretch" and isinstance(schedule, ReduceLROnPlateau):
                schedule.load_state_dict(before)
            else:
                for group, fresh in zip(schedule.optimizer.param_groups, groups, strict=False):
                    group.update(fresh)
                if self.extend == "stretch":
                    _forward(schedule, before["last_epoch"])
        self._before = None


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def _forward(schedule: LRScheduler, steps: int) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        for _ in range(steps):
            schedule.step()
