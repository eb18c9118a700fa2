"""What the engine needs of Lightning's private names, in one place.

Each function says what a private name buys. `require_names` fails at start-up if this version of
Lightning has renamed one: assigning to a name that is gone would change nothing, without a word.

Lightning also looks for `_iterator` of a loader, to end its workers when a fit is over; see
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
    """Sets the name of the current hook without `nn.Module.__setattr__`, while a module trains.

    Lightning sets it about 40 times a step, which costs 0.1 ms of a CPU. If the name changes,
    only this saving is lost. A class with a `__setattr__` of its own keeps it.
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


def leave_signals_alone(trainer: L.Trainer) -> None:
    """Keeps Lightning from handling signals, which `Interrupts` does.

    Lightning's way makes all processes wait for each other in every step, and in the handler.
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


def is_accumulating(trainer: L.Trainer) -> bool:
    """Whether the batch that just ended was part of a step whose optimizer has not stepped yet."""
    return trainer.fit_loop.epoch_loop._should_accumulate()


def count_steps_with(trainer: L.Trainer, steps: Callable[[], int]) -> None:
    """Logs what modules log at the number of steps that have ended.

    Lightning counts from 0, so that its metrics of the 50th step would be at 49, and those of the
    validation that follows too.
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


def tell_of_evaluations(trainer: L.Trainer, tell: Callable[[dict[str, Any]], None]) -> None:
    """Calls `tell` with the metrics of each validation or test, before they are logged.

    `trainer.callback_metrics` has those of all stages in one mapping.
    """
    connector = trainer._logger_connector
    plain = connector.log_eval_end_metrics

    def log_eval_end_metrics(metrics: Any) -> None:
        if not trainer.sanity_checking:
            tell(dict(metrics))
        plain(metrics)

    connector.log_eval_end_metrics = log_eval_end_metrics  # type: ignore[method-assign]


def average_of(callback: WeightAveraging) -> Any:
    """The averaged model of Lightning's callback, which has no public name for it.

    It is evaluated, saved and exported in place of the last step's.
    """
    return callback._average_model


def set_average(callback: WeightAveraging, average: nn.Module) -> None:
    """Gives Lightning's callback another averaged model."""
    if not hasattr(callback, "_average_model"):
        raise missing("lightning", "WeightAveraging._average_model", FILE)
    callback._average_model = average  # type: ignore[assignment]


def shard_over_all_processes(strategy: ModelParallelStrategy) -> None:
    """Shards weights over all processes of all nodes, where Lightning's default is those of one."""
    if not hasattr(strategy, "_data_parallel_size"):
        raise missing("lightning", "ModelParallelStrategy._data_parallel_size", FILE)
    strategy._data_parallel_size = strategy.num_nodes * strategy.num_processes
