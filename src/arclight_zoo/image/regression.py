"""Numbers that an image tells: an age, a count, a position."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ExactSum
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight_zoo.image.base import Batch, ImageTask
from arclight_zoo.learning.collected import Collected
from arclight_zoo.learning.losses import require_no_parameters
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_batches
from arclight_zoo.pixels.targets import HOLDS


class ImageRegression(ImageTask):
    """Mean squared error of one or several values.

    Evaluation gives the mean loss, the mean absolute error (`mae`) and the share of the targets'
    variance that is explained (`r2`), the last two as means over the values. Values are learnt as
    they are: scale them to about 1 in the data where they are much larger.

    Args:
        model: `(batch, channels, height, width)` to `(batch, values)`.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: what is known of the data.
        loss: of predictions and targets, both `(batch, values)`; its mean over the batch. None:
            mean squared error.
        metrics: measured in evaluation too, on predictions and targets `(batch, values)`, or
            `(batch,)` where there is one value.
    """

    learns_from = HOLDS["values"]

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        facts: ImageFacts | None = None,
        loss: nn.Module | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, facts, metrics=metrics)
        self.loss = loss or nn.MSELoss()
        require_no_parameters(self.loss)
        self.loss_sum, self.seen = ExactSum(), Collected()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch
        loss: Tensor = self.loss(self.model(images), targets)
        self.sums.add(loss.detach() * len(images), examples=len(images))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        images = self.blank_images(facts, examples)
        assert isinstance(facts, ImageFacts)
        return images, torch.zeros(examples, facts.num_classes)

    def evaluate(self, images: Tensor, targets: Tensor) -> None:
        found = self.model(images).float()
        self.loss_sum.update(self.loss(found, targets) * len(images))
        self.seen.update(found, targets)
        if targets.shape[1] == 1:
            found, targets = found.squeeze(1), targets.squeeze(1)
        self.measure(found, targets)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Values `(batch, values)`."""
        found: Tensor = self.model(batch)
        return found.float()

    def results(self, stage: str) -> dict[str, float]:
        found, targets = self.seen.compute()
        figures = {"loss": self.loss_sum.compute() / len(targets), **scores(found, targets)}
        self.loss_sum.reset()
        self.seen.reset()
        return {f"{stage}/{name}": value for name, value in figures.items()}

    def answer(self, question: Question) -> Rows:
        """The values of each image."""
        facts = self.known()
        rows = [["file", *facts.class_names]]
        for files, images in image_batches(question, facts, self.device):
            for file, values in zip(files, self.predict_step(images, 0).tolist(), strict=True):
                rows.append([file, *(f"{value:.6g}" for value in values)])
        return rows


def scores(found: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean absolute error and R2, as means over the values; both `(examples, values)`.

    Where a value never varies its R2 is 1 if it is found exactly, else 0, as in scikit-learn.
    """
    found, targets = found.double(), targets.double()
    rest = (targets - found).square().sum(0)
    spread = (targets - targets.mean(0)).square().sum(0)
    constant = (rest == 0).double()
    r2 = torch.where(spread > 0, 1 - rest / spread.where(spread > 0, 1.0), constant)
    return {"mae": float((targets - found).abs().mean()), "r2": float(r2.mean())}
