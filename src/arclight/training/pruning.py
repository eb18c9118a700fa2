"""Pruning: a trial reports its metric after each validation, and the search may stop it."""

import os
import socket
from contextlib import suppress
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from arclight.errors import UserError

# Environment variable of a trial that may be pruned: its number, the metric, the search's socket.
PRUNING = "ARCLIGHT_PRUNING"


class PrunedError(Exception):
    """The search has stopped this trial."""


class Pruning(Callback):
    """Reports a validation metric to the search and raises `PrunedError` if the search says so.

    One report per validation. With several processes the first one asks and broadcasts the answer.

    Args:
        address: of the search's Unix socket.
        trial: the trial's number.
        metric: the name of the validation metric.

    Raises:
        PrunedError: the search stops this trial.
        UserError: the metric is not logged.
    """

    def __init__(self, address: str, trial: int, metric: str) -> None:
        self.address = address
        self.trial = trial
        self.metric = metric
        self.validations = 0
        self._value: float | None = None  # measured but not reported yet

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        self.validations += 1
        if self.metric not in trainer.callback_metrics:
            raise UserError(
                f"The search prunes by {self.metric}, which is not logged; "
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
        """Whether the search stops the trial; False if the search process has ended."""
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
    """The callback of a run that a search may prune; an empty list for other runs."""
    if PRUNING not in os.environ:
        return []
    trial, metric, address = os.environ[PRUNING].split(" ", 2)
    return [Pruning(address, int(trial), metric)]
