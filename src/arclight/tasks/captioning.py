"""Captioning with any model that tells the next token of a text about an image."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.data.facts import Facts, ImageTextFacts
from arclight.errors import UserError
from arclight.tasks.scores import ExactSum, VocabularyLoss
from arclight.tasks.task import OptimizerFactory, ScheduleFactory, Task

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
IGNORED = -100  # a target that nothing is counted of: torch's own default


class Captioning(Task):
    """Cross-entropy of each token of a caption, given the image and the tokens before it.

    Its mean is over the tokens of a part of the step, where processes or accumulation make parts:
    tokens of a part with short captions then count a little more.

    Evaluation gives the mean loss of a token, the share of tokens that were the likeliest, and the
    share of captions that the model makes exactly by itself, taking the likeliest token each time.

    Args:
        model: (images, tokens, mask) to logits of the next token at each place, with a method
            `generate(images, length, end)`; see `arclight.models.blip.BLIP`.
        facts: what is known of the data.
    """

    cross_entropy: nn.CrossEntropyLoss

    learns_from = "images with texts"

    def __init__(
        self,
        model: nn.Module,
        facts: ImageTextFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
    ) -> None:
        super().__init__(model, optimizer, schedule, figures=("loss",))
        self.cross_entropy = VocabularyLoss()
        self.end = facts.end
        self.loss_sum, self.right, self.tokens, self.exact, self.captions = (
            ExactSum() for _ in range(5)
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, tokens, mask, _ = batch
        logits = self.model(images, tokens[:, :-1], mask[:, :-1])
        targets = targets_of(tokens, mask)
        loss: Tensor = self.cross_entropy(logits.flatten(0, 1), targets.flatten())
        self.sums.add(loss.detach() * len(images), examples=len(images))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, ImageTextFacts)
        images = torch.zeros(examples, facts.channels, facts.image_size, facts.image_size)
        tokens = torch.zeros(examples, facts.context, dtype=torch.long)
        mask = tokens.new_ones(tokens.shape, dtype=torch.bool)
        return images, tokens, mask, tokens[:, 0].clone()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise UserError(
            "A captioning run has no labels to give images: test it with "
            "python scripts/evaluate.py, or train a classifier, such as model=vit."
        )

    def _evaluate(self, batch: Batch) -> None:
        images, tokens, mask, _ = batch
        targets = targets_of(tokens, mask)
        logits = self.model(images, tokens[:, :-1], mask[:, :-1]).float()
        self.loss_sum.update(
            F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        )
        self.right.update((logits.argmax(-1) == targets).sum())
        self.tokens.update((targets != IGNORED).sum())
        made = self.model.generate(images, targets.shape[1], self.end)  # type: ignore[operator]
        self.exact.update(((made == targets) | (targets == IGNORED)).all(1).sum())
        self.captions.update(len(images))

    def results(self, stage: str) -> dict[str, float]:
        tokens = self.tokens.compute()
        results = {
            f"{stage}/loss": self.loss_sum.compute() / tokens,
            f"{stage}/accuracy": self.right.compute() / tokens,
            f"{stage}/exact": self.exact.compute() / self.captions.compute(),
        }
        for metric in (self.loss_sum, self.right, self.tokens, self.exact, self.captions):
            metric.reset()
        return results


def targets_of(tokens: Tensor, mask: Tensor) -> Tensor:
    """What comes next at each place but the last, `(batch, length - 1)`; -100 behind the end."""
    return tokens[:, 1:].masked_fill(~mask[:, 1:], IGNORED)
