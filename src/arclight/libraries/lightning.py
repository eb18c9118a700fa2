"""Private names of Lightning that the engine uses.

Each function says why it needs a private name. `require_names` fails at start-up if this version of
Lightning has renamed one: assigning to a missing name would silently have no effect.

Lightning also looks for `_iterator` of a loader, to stop its workers after a fit; see
`arclight.data.loader_workers.OwnsWorkers`.
"""

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import _LoggerConnector
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from torch import nn

from arclight.libraries.missing import missing

FILE = "lightning.py"

METHODS: dict[type, tuple[str, ...]] = {
    _TrainingEpochLoop: (
        "_broadcast_sigterm_tensor",
        "_should_accumulate",
    ),
    _SignalConnector: ("register_signal_handlers",),
    _LoggerConnector: ("log_metrics", "log_eval_end_metrics"),
}


def require_names(trainer: L.Trainer) -> None:
    """Raises `RuntimeError` if this version of Lightning lacks a name that is used here."""
    gone = [f"{k.__name__}.{n}" for k, names in METHODS.items() for n in names if n not in dir(k)]
    attributes: dict[Any, tuple[str, ...]] = {
        trainer: ("_signal_connector", "_logger_connector"),
    }
    for owner, names in attributes.items():
        gone += [f"{type(owner).__name__}.{n}" for n in names if not hasattr(owner, n)]
    if gone:
        raise missing("lightning", ", ".join(gone), FILE)


class QuickHooks(Callback):
    """During training, sets the name of the current hook without `nn.Module.__setattr__`.

    Lightning sets it about 40 times per step, which takes 0.1 ms on a CPU. If Lightning renames the
    attribute, only this speed-up is lost. A class with its own `__setattr__` keeps it.
    """

    def __init__(self) -> None:
        self._quick: type | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        kind = type(pl_module)
        if "__setattr__" in vars(kind):
            return
        plain = kind.__setattr__

        def set_attribute(self: L.LightningModule, name: str, value: Any) -> None:
            if name == "_current_fx_name":
                self.__dict__[name] = value
            else:
                plain(self, name, value)

        kind.__setattr__ = set_attribute  # type: ignore[assignment]
        self._quick = kind

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._restore()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        kind, self._quick = self._quick, None
        if kind is not None:
            del kind.__setattr__


def disable_signal_handling(trainer: L.Trainer) -> None:
    """Turns off Lightning's signal handling; `Interrupts` handles signals instead.

    Lightning synchronizes all processes in every step and in the handler.
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


def is_accumulating(trainer: L.Trainer) -> bool:
    """Whether gradients are still being accumulated: the optimizer has not stepped yet."""
    return trainer.fit_loop.epoch_loop._should_accumulate()


def count_steps_with(trainer: L.Trainer, steps: Callable[[], int]) -> None:
    """Logs the metrics of modules at the number of finished optimizer steps.

    Lightning counts from 0: it would log the metrics of the 50th step, and of the validation after
    it, at 49.
    """
    connector = trainer._logger_connector
    plain = connector.log_metrics

    def log_metrics(metrics: Any, step: int | None = None) -> None:
        if step is None and metrics and "step" not in metrics:
            if trainer.state.fn == "fit":  # a test belongs to no epoch
                metrics = {"epoch": trainer.current_epoch, **metrics}
            step = steps()
        plain(metrics, step)

    connector.log_metrics = log_metrics  # type: ignore[method-assign]


def call_after_evaluations(trainer: L.Trainer, call: Callable[[dict[str, Any]], None]) -> None:
    """Calls `call` with the metrics of each validation or test before they are logged.

    `trainer.callback_metrics` mixes the metrics of all stages.
    """
    connector = trainer._logger_connector
    plain = connector.log_eval_end_metrics

    def log_eval_end_metrics(metrics: Any) -> None:
        if not trainer.sanity_checking:
            call(dict(metrics))
        plain(metrics)

    connector.log_eval_end_metrics = log_eval_end_metrics  # type: ignore[method-assign]


def average_of(callback: WeightAveraging) -> Any:
    """Returns the averaged model of Lightning's callback, which has no public name.

    It is evaluated, saved and exported instead of the model of the last step.
    """
    return callback._average_model


def set_average(callback: WeightAveraging, average: nn.Module) -> None:
    """Replaces the averaged model of Lightning's callback."""
    if not hasattr(callback, "_average_model"):
        raise missing("lightning", "WeightAveraging._average_model", FILE)
    callback._average_model = average  # type: ignore[assignment]


def shard_over_all_processes(strategy: ModelParallelStrategy) -> None:
    """Shards weights over the processes of all nodes; Lightning's default is within a node."""
    if not hasattr(strategy, "_data_parallel_size"):
        raise missing("lightning", "ModelParallelStrategy._data_parallel_size", FILE)
    strategy._data_parallel_size = strategy.num_nodes * strategy.num_processes
