"""Ending a trial early: after each validation the search is told the figure, and may say stop."""

import os
import socket
from contextlib import suppress
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from arclight.errors import UserError

# In the environment of a trial that may be pruned: the search's socket, the trial, the figure.
PRUNING = "ARCLIGHT_PRUNING"


class PrunedError(Exception):
    """The search has seen enough of this trial."""


class Pruning(Callback):
    """Reports a validation figure to the search and raises `PrunedError` when told to.

    The unit is one validation. Of several processes the first asks, and all hear the answer.

    Args:
        address: of the search's Unix socket.
        trial: the trial's number.
        metric: the validation figure.
    """

    def __init__(self, address: str, trial: int, metric: str) -> None:
        self.address = address
        self.trial = trial
        self.metric = metric
        self.validations = 0
        self._value: float | None = None  # measured, and not told yet

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        self.validations += 1
        if self.metric not in trainer.callback_metrics:
            raise UserError(
                f"The search prunes by {self.metric}, which is not measured; "
                f"choose from {', '.join(sorted(trainer.callback_metrics))}."
            )
        self._value = float(trainer.callback_metrics[self.metric])

    def on_train_batch_settled(
        self, trainer: L.Trainer, pl_module: L.LightningModule, epoch_over: bool
    ) -> None:
        value, self._value = self._value, None
        if value is None:
            return
        stop = trainer.is_global_zero and self._ask(value)
        if trainer.strategy.broadcast(stop):
            raise PrunedError(f"pruned after {self.validations} validations")

    def _ask(self, value: float) -> bool:
        """The search's answer; no, where the search has died, as this process is about to."""
        with socket.socket(socket.AF_UNIX) as line, suppress(OSError):
            line.connect(self.address)
            line.sendall(f"{self.trial} {self.validations} {value!r}\n".encode())
            return line.recv(1) == b"1"
        return False

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]


def pruning() -> list[Callback]:
    """The callback of a run that a search may prune; none for any other."""
    if PRUNING not in os.environ:
        return []
    trial, metric, address = os.environ[PRUNING].split(" ", 2)
    return [Pruning(address, int(trial), metric)]
