"""The task: the loss, the metrics, and predictions of a finished run."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MeanSquaredError

from arclight import Facts, Task, UserError
from arclight.tasks.question import Question, Rows

from .data import PixelFacts

Batch = tuple[Tensor, Tensor]  # noisy and clean images, each (batch, pixels)


class Denoising(Task):
    """Learns to return the clean image for the noisy one.

    Args:
        softness: errors below it count quadratically, larger errors linearly.
        given: model, optimizer and schedule, from the config's groups.
    """

    learns_from = "noisy and clean images"  # what the data module `holds`

    def __init__(self, softness: float = 0.1, **given: Any) -> None:
        super().__init__(**given)
        self.softness = softness
        self.rmse = MeanSquaredError(squared=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        noisy, clean = batch
        # Charbonnier et al. (1994): smooth at 0, nearly the absolute error elsewhere.
        squares = (self.model(noisy) - clean) ** 2
        loss: Tensor = (squares + self.softness**2).sqrt().mean() - self.softness
        self.sums.add(loss.detach() * len(noisy), examples=len(noisy))  # logged as train/loss
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.rmse.update(self.model(batch[0]), batch[1])

    test_step = validation_step

    def results(self, stage: str) -> dict[str, float]:
        rmse = float(self.rmse.compute())
        self.rmse.reset()
        return {f"{stage}/rmse": rmse}

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        """A batch of the right shapes, for the cost estimate and for exports."""
        assert isinstance(facts, PixelFacts)
        return torch.zeros(examples, facts.pixels), torch.zeros(examples, facts.pixels)

    def answer(self, question: Question) -> Rows:
        """For `scripts/predict.py`: denoises the images of a csv file, one per line."""
        assert isinstance(self.facts, PixelFacts)
        try:
            images = np.loadtxt(question.place, np.float32, delimiter=",", ndmin=2)
        except (OSError, ValueError) as error:
            raise UserError(f"{question.place} is not a csv file of numbers: {error}") from error
        if images.shape[1] != self.facts.pixels:
            raise UserError(f"{question.place} should have {self.facts.pixels} numbers per line.")
        cleaned = self.model(torch.from_numpy(images).to(self.device)).tolist()
        header = ["line", *(f"pixel_{i}" for i in range(self.facts.pixels))]
        return [header] + [[str(i), *map("{:.4f}".format, row)] for i, row in enumerate(cleaned, 1)]
