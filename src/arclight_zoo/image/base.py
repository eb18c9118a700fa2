"""The base of tasks that predict something for single images."""

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
        facts: about the data; None if the data module provides none.
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
        # Convolutions are faster in channels_last (1.2x on CPUs, more on tensor cores). Setting it
        # for the weights is enough: their outputs follow.
        model = model.to(memory_format=torch.channels_last)
        super().__init__(model, optimizer, schedule, train_metrics, metrics)
        self.class_names = list(facts.class_names) if facts else []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0 and hasattr(self.model, "whiten"):
            # not in `forward`, which would then be compiled twice
            self.model.whiten(batch[0])  # type: ignore[operator]
            if dist.is_initialized():  # all processes use the first one's
                dist.broadcast(self.model.whitening, 0)  # type: ignore[arg-type]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate(*batch)

    test_step = validation_step

    def evaluate(self, images: Tensor, targets: Tensor) -> None:
        """Updates the metrics with a validation or test batch."""
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
