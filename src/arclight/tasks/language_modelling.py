"""Language modelling with any model that maps tokens to logits of the next ones."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.data.facts import Facts, TextFacts
from arclight.tasks.scores import ExactSum, VocabularyLoss
from arclight.tasks.task import OptimizerFactory, ScheduleFactory, Task

Batch = tuple[Tensor, Tensor]
IGNORED = -100  # a target that nothing is counted of: torch's own default


class LanguageModelling(Task):
    """Cross-entropy of each next token.

    Evaluation gives the mean loss of a token, its perplexity, the share of tokens that were the
    likeliest, and bits per byte of the text, which compares models with different tokenizers.

    Args:
        model: tokens `(batch, length)` to logits `(batch, length, vocab)`.
        facts: what is known of the data.
    """

    cross_entropy: nn.CrossEntropyLoss

    learns_from = "running text"

    def __init__(
        self,
        model: nn.Module,
        facts: TextFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
    ) -> None:
        super().__init__(model, optimizer, schedule, figures=("loss",))
        self.cross_entropy = VocabularyLoss()
        self.facts = facts
        self.loss_sum, self.right, self.count = (ExactSum() for _ in range(3))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        tokens, targets = batch
        logits = self.model(tokens)
        loss: Tensor = self.cross_entropy(logits.flatten(0, 1), targets.flatten())
        self.sums.add(loss.detach() * len(tokens), examples=len(tokens))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, TextFacts)
        tokens = torch.zeros(examples, facts.context, dtype=torch.long)
        return tokens, tokens.clone()

    def tokens_per_example(self, facts: Facts) -> int | None:
        return facts.context if isinstance(facts, TextFacts) else None

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def _evaluate(self, batch: Batch) -> None:
        tokens, targets = batch
        logits = self.model(tokens).float()
        self.loss_sum.update(
            F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        )
        self.right.update((logits.argmax(-1) == targets).sum())
        self.count.update((targets != IGNORED).sum())

    def results(self, stage: str) -> dict[str, float]:
        count = self.count.compute()
        loss = self.loss_sum.compute() / count
        results = {
            f"{stage}/loss": loss,
            f"{stage}/perplexity": math.exp(min(loss, 80.0)),
            f"{stage}/accuracy": self.right.compute() / count,
        }
        per_token = self.facts.bytes_per_token.get(stage)
        if per_token:
            results[f"{stage}/bits_per_byte"] = loss / math.log(2) / per_token
        for metric in (self.loss_sum, self.right, self.count):
            metric.reset()
        return results
