"""What all tasks that tell something of one image share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight_zoo.image.timm_folder import write_timm
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.pixels.hf_processor import write_processor
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import random_images

Batch = tuple[Tensor, Tensor]


class ImageTask(Task):
    """A model that maps images `(batch, channels, height, width)` to rows `(batch, outputs)`.

    Args:
        model: the network.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: what is known of the data; None: of data that do not tell.
        figures: see `Task`.
        metrics: see `Task`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        facts: ImageFacts | None = None,
        figures: tuple[str, ...] = ("loss",),
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        # Convolutions are faster with the channels of a pixel side by side (1.2x on CPUs, more on
        # tensor cores); the weights' layout is enough, what they compute takes it over.
        model = model.to(memory_format=torch.channels_last)
        super().__init__(model, optimizer, schedule, figures, metrics)
        self.class_names = list(facts.class_names) if facts else []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0 and hasattr(self.model, "whiten"):
            # here and not in `forward`, of which two graphs would be compiled, before and after
            self.model.whiten(batch[0])  # type: ignore[operator]
            if dist.is_initialized():  # of all processes the first one's
                dist.broadcast(self.model.whitening, 0)  # type: ignore[arg-type]

    def blank_images(self, facts: Facts, examples: int) -> Tensor:
        """Zeros `(examples, channels, size, size)`; facts of other data have no such shape."""
        if not isinstance(facts, ImageFacts):
            raise NotImplementedError("these facts do not tell the shape of an image")
        return torch.zeros(examples, facts.channels, facts.image_size, facts.image_size)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate(*batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate(*batch)

    def evaluate(self, images: Tensor, targets: Tensor) -> None:
        """Counts a batch of validation or test."""
        raise NotImplementedError

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        return {"images": random_images(self.known(), examples, draw)}

    def save_hf(self, folder: Path, run: Path) -> Answer:
        facts = self.known()
        if hasattr(self.model, "pretrained_cfg"):
            return write_timm(self.model, facts, folder)
        again = write_model(self.model, folder, facts.class_names)
        write_processor(self.model, facts, folder)
        return again

    def known(self) -> ImageFacts:
        """The facts of the images.

        Raises:
            UserError: the data have not told them.
        """
        if not isinstance(self.facts, ImageFacts):
            raise UserError(
                "The data of this run do not tell the size, channels and classes of its images: "
                "set `facts`, an ImageFacts, in the data module."
            )
        return self.facts
