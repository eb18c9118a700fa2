"""trackio, Hugging Face's local experiment tracker, as one of Lightning's loggers."""

import importlib
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from arclight.errors import UserError


class TrackioLogger(Logger):
    """Logs to a local trackio project, or to a Hugging Face space.

    A resumed run continues under the same name.

    Args:
        name: of the run.
        project: the project of the run.
        space_id: ORG/NAME of a Hugging Face space; None: log on this machine.

    Raises:
        UserError: trackio is not installed.
    """

    def __init__(self, name: str, project: str = "arclight", space_id: str | None = None) -> None:
        super().__init__()
        try:
            self._trackio: Any = importlib.import_module("trackio")
        except ModuleNotFoundError as error:
            raise UserError(
                "logger=trackio needs a package that is not installed: type pip install trackio."
            ) from error
        self._name, self.project, self.space_id = name, project, space_id
        self._run: Any = None
        self._config: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Trackio's run, started at the first use."""
        if self._run is None:
            self._run = self._trackio.init(
                project=self.project,
                name=self._name,
                space_id=self.space_id,
                config=self._config,
                resume="allow",
            )
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        self._config = dict(params)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.experiment.log(metrics, step=step)

    @rank_zero_only
    def close(self) -> None:
        """Ends trackio's run. `finalize` is too early: Lightning calls it before the test."""
        if self._run is not None:
            self._run.finish()
            self._run = None
