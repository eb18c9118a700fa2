"""Loads a run in a notebook: `load("runs/NAME")`."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.config.only_reading import only_reading
from arclight.errors import UserError
from arclight.provenance.code import warn_of_changes
from arclight.run.opened import open_checked
from arclight.run_directory import RunDirectory

if TYPE_CHECKING:
    import lightning as L
    import pandas as pd
    from torch import Tensor

__all__ = ["LoadedRun", "load"]


class LoadedRun:
    """A finished or interrupted run, read from its directory.

    Nothing is trained or written. The task and the data are built at their first use.

    Attributes:
        path: the run directory.
        config: the frozen config.
        summary: status, final metrics, costs.
        manifest: command, code, packages, hardware, facts of the data.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self.path: Path = run.path
        self.config: dict[str, Any] = run.config
        self.summary: dict[str, Any] = run.summary
        self.manifest: dict[str, Any] = run.manifest

    @property
    def metrics(self) -> "pd.DataFrame":
        """`metrics.csv` as a table: one row for each logging call."""
        import pandas as pd

        return pd.read_csv(self._run.metrics_file)

    @cached_property
    def task(self) -> "L.LightningModule":
        """The task with the tested weights, in evaluation mode on the CPU.

        Raises:
            UserError: there is no checkpoint yet, or it cannot be read.
        """
        from arclight.run.assembly import load_task

        return load_task(self._run)

    @cached_property
    def data(self) -> "L.LightningDataModule":
        """The run's data module after `setup`: call its `train_dataloader()` or others."""
        from arclight.data.module import DataModule
        from arclight.run.assembly import build_data

        with only_reading():
            data = build_data(self.config, self.path)
        if not isinstance(data, DataModule):
            data.prepare_data()
            for stage in ("fit", "test"):
                data.setup(stage)
        return data

    def predict(self, *inputs: "Tensor") -> Any:
        """The output of the task's `predict_step`, or else its `forward`, without gradients.

        Args:
            inputs: the model's inputs, such as images `(batch, channels, height, width)`.

        Raises:
            UserError: there are no inputs.
        """
        if not inputs:
            raise UserError(
                "predict needs the inputs of the model: type run.predict(INPUTS), for example with "
                "a batch of run.data.test_dataloader()."
            )
        import torch
        from lightning.pytorch.utilities.model_helpers import is_overridden

        with torch.inference_mode():
            if is_overridden("predict_step", self.task):
                return self.task.predict_step(inputs[0] if len(inputs) == 1 else inputs, 0)
            return self.task(*inputs)

    def answers(self, place: str | Path) -> list[list[str]]:
        """Predictions as in `scripts/predict.py`: a header, and a row for each input.

        Args:
            place: a file or folder of inputs.

        Raises:
            UserError: the task does not define predictions, or cannot use the inputs.
        """
        from arclight.tasks.question import Question
        from arclight.use.predict import answers

        return answers(self.task, Question(Path(place), self.path, self.config))

    def __repr__(self) -> str:
        metrics = ", ".join(f"{k} {v:.4g}" for k, v in self.summary.get("metrics", {}).items())
        return f"<run {self.path}: {self.summary['status']}{'; ' if metrics else ''}{metrics}>"


def load(path: str | Path) -> LoadedRun:
    """Loads a run: its config, metrics as a table, the task with its weights, and the data.

    Args:
        path: the run directory, such as `runs/NAME`.

    Raises:
        UserError: there is no such run, or its files are damaged.
    """
    run = open_checked(path)
    warn_of_changes(run)
    return LoadedRun(run)
