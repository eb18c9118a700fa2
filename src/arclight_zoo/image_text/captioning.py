"""Captioning with any model that predicts the next token of a caption."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ExactSum, VocabularyLoss
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight.tasks.usage import HubUsage, Usage
from arclight_zoo.image_text.exports import random_pairs, save_pair_model
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.image_text.usage import caption_hub_usage, caption_usage
from arclight_zoo.pixels.questions import image_batches
from arclight_zoo.tokens.questions import answer_rows, decode, kept_tokenizer
from arclight_zoo.tokens.ragged import IGNORED

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Captioning(Task):
    """Captioning: cross-entropy of each token of a caption, given the image and earlier tokens.

    If processes or gradient accumulation divide a step into parts, the mean is over the tokens of
    each part: tokens of a part with short captions then have slightly more weight.

    Evaluation reports the mean loss per token, the accuracy of tokens, and the fraction of
    captions that greedy decoding reproduces exactly.

    Args:
        model: maps (images, tokens, mask) to logits of the next tokens, and has a method
            `generate(images, length, end)`; see `arclight_zoo.image_text.blip.BLIP`.
        facts: about the data.
        metrics: further metrics of evaluation, on logits `(batch, length, vocab)` and targets
            `(batch, length)`; ignore targets of -100.
    """

    cross_entropy: nn.CrossEntropyLoss

    learns_from = "images with texts"
    padded = True
    parts_differ = "where those with short captions have slightly more weight"
    facts: ImageTextFacts

    def __init__(
        self,
        model: nn.Module,
        facts: ImageTextFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, metrics=metrics, train_metrics=("loss",))
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
        images, tokens, mask, _ = batch
        targets = targets_of(tokens, mask)
        logits = self.model(images, tokens[:, :-1], mask[:, :-1]).float()
        self.loss_sum.update(
            F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        )
        self.right.update((logits.argmax(-1) == targets).sum())
        self.tokens.update((targets != IGNORED).sum())
        self.measure(logits, targets)
        made = self.model.generate(images, targets.shape[1], self.end)  # type: ignore[operator]
        self.exact.update(((made == targets) | (targets == IGNORED)).all(1).sum())
        self.captions.update(len(images))

    test_step = validation_step

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

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        return random_pairs(self.facts, examples, draw)

    def answer(self, question: Question) -> Rows:
        """Generates a caption for each image."""
        facts = self.facts
        tokenizer = kept_tokenizer(question.folder)
        rows = [["file", "caption"]]
        for files, images in image_batches(question, facts, self.device):
            made = self.model.generate(images, facts.context, facts.end)  # type: ignore[operator]
            rows += answer_rows(files, decode(tokenizer, made, facts.end))
        return rows

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        return caption_usage(self.facts, run)

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        return caption_hub_usage(self.facts, self.model)

    def save_hf(self, folder: Path, run: Path) -> Answer:
        return save_pair_model(self.model, self.facts, folder, run)


def targets_of(tokens: Tensor, mask: Tensor) -> Tensor:
    """The next tokens at all positions except the last, `(batch, length - 1)`; -100 for padding."""
    return tokens[:, 1:].masked_fill(~mask[:, 1:], IGNORED)
