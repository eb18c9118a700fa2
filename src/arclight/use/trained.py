"""Loads a run's trained model, and example inputs for it, from its directory."""

import inspect
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from arclight.config.only_reading import only_reading
from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.run.assembly import build_data, load_task, recorded_facts
from arclight.run.panels import network_of
from arclight.run_directory import RunDirectory
from arclight.tasks.task import Task


@dataclass
class Trained:
    """A run's task with a checkpoint's weights, in evaluation mode on the CPU."""

    run: RunDirectory
    config: dict[str, Any]
    facts: Facts
    task: L.LightningModule

    @property
    def model(self) -> nn.Module:
        return network_of(self.task)

    def inputs(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Example inputs of the model by name, with the shapes of the run's data.

        A task defines them in `Task.example_inputs`. For any other module they are Lightning's
        `example_input_array`, or the first part of a batch of the run's data.

        Args:
            batch: number of examples.
            seed: of the random inputs.

        Raises:
            UserError: the module has no example inputs or no `forward`.
        """
        draw = torch.Generator().manual_seed(seed)
        if isinstance(self.task, Task) and _defines_inputs(self.task):
            return self.task.example_inputs(batch, draw)
        return self._of_a_module(batch)

    def _of_a_module(self, batch: int) -> dict[str, Tensor]:
        if self.model is self.task and not is_overridden("forward", self.task):
            raise UserError(
                f"{type(self.task).__name__} has no forward, so there is nothing to export: "
                "define `forward(self, x)`, from inputs to outputs."
            )
        example: Any = self.task.example_input_array
        if example is None:
            example = self._first_of_data()
        if isinstance(example, Tensor):
            example = (example,)
        if isinstance(example, dict):
            named = example
        else:
            named = {f"input_{i}" if i else "input": one for i, one in enumerate(example)}
        if not named or not all(isinstance(one, Tensor) and one.ndim for one in named.values()):
            raise UserError(
                f"{type(self.task).__name__} does not define example inputs: set "
                "`self.example_input_array`, a tensor or a tuple of tensors, in its constructor."
            )
        self._require_accepted(list(named.values()))
        return {
            name: one[torch.arange(batch) % len(one)].contiguous() for name, one in named.items()
        }

    def _require_accepted(self, values: list[Any]) -> None:
        """Raises `UserError` if `forward` takes another number of inputs."""
        forward = inspect.signature(self.model.forward)
        try:
            forward.bind(*values)
        except TypeError as error:
            names = ", ".join(forward.parameters)
            raise UserError(
                f"{type(self.task).__name__}.forward takes ({names}), and the example has "
                f"{len(values)}: set `self.example_input_array = ({names})`, a tuple of tensors, "
                "in the constructor."
            ) from error

    def _first_of_data(self) -> Any:
        """The inputs of a batch of (inputs, targets): its first part."""
        with only_reading():
            data = build_data(self.config, self.run.path)
        if not self.facts.sizes:
            data.prepare_data()
            data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        return batch[0] if isinstance(batch, tuple | list) else batch


def _defines_inputs(task: Task) -> bool:
    kind = type(task)
    own = (kind.example_inputs, kind.blank_batch)
    return own != (Task.example_inputs, Task.blank_batch)


def trained(run: RunDirectory, checkpoint: str | None = None) -> Trained:
    """Loads the run's task with the tested or another checkpoint.

    Raises:
        UserError: there is no checkpoint, or it cannot be read.
    """
    task = load_task(run, checkpoint)
    network_of(task).to(memory_format=torch.contiguous_format)
    return Trained(run, run.config, recorded_facts(run), task)
