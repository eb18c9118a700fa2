"""What all tasks that tell something of one image share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory
from arclight.tasks.usage import HubUsage, Usage
from arclight_zoo.image.timm_folder import write_timm
from arclight_zoo.image.usage import timm_usage, transformers_usage
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.pixels.hf_processor import write_processor
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.task import PixelTask
from arclight_zoo.pixels.usage import row_usage

Batch = tuple[Tensor, Tensor]


class ImageTask(PixelTask):
    """A model that maps images `(batch, channels, height, width)` to rows `(batch, outputs)`.

    Attributes:
        answer_code: prints an answer in the example of an export, see `row_usage`.
        tags: of its model card.

    Args:
        model: the network.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: what is known of the data; None: of data that do not tell.
        train_metrics: see `Task`.
        metrics: see `Task`.
    """

    answer_code: ClassVar[str]
    tags: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts | None,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        train_metrics: tuple[str, ...] = ("loss",),
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        # Convolutions are faster with the channels of a pixel side by side (1.2x on CPUs, more on
        # tensor cores); the weights' layout is enough, what they compute takes it over.
        model = model.to(memory_format=torch.channels_last)
        super().__init__(model, optimizer, schedule, train_metrics, metrics)
        self.class_names = list(facts.class_names) if facts else []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0 and hasattr(self.model, "whiten"):
            # here and not in `forward`, of which two graphs would be compiled, before and after
            self.model.whiten(batch[0])  # type: ignore[operator]
            if dist.is_initialized():  # of all processes the first one's
                dist.broadcast(self.model.whitening, 0)  # type: ignore[arg-type]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate(*batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate(*batch)

    def evaluate(self, images: Tensor, targets: Tensor) -> None:
        """Counts a batch of validation or test."""
        raise NotImplementedError

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        return row_usage(self.known(), self.answer_code)

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        facts, tags = self.known(), self.tags
        if hasattr(self.model, "pretrained_cfg"):
            return timm_usage(facts, self.answer_code, tags)
        return transformers_usage(self.model, facts, self.answer_code, tags)

    def save_hf(self, folder: Path, run: Path) -> Answer:
        facts = self.known()
        if hasattr(self.model, "pretrained_cfg"):
            return write_timm(self.model, facts, folder)
        again = write_model(self.model, folder, facts.class_names)
        write_processor(self.model, facts, folder)
        return again
