"""Sequence to sequence with any model that maps source and earlier target tokens to logits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.text import CHRFScore

from arclight.data.facts import Facts
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ExactSum, VocabularyLoss
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight.tasks.usage import HubUsage, Usage
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.text.pairs import TextPairs
from arclight_zoo.text.usage import pair_hub_usage, pair_usage
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.hf_tokenizer import write_tokenizer
from arclight_zoo.tokens.questions import (
    answer_rows,
    decode,
    kept_tokenizer,
    random_mask,
    random_tokens,
    text_batches,
)
from arclight_zoo.tokens.ragged import IGNORED
from arclight_zoo.tokens.text_facts import TextFacts

Batch = tuple[Tensor, ...]  # source, mask, target, and in training see `PairLoader`


class SequenceToSequence(Task):
    """Sequence to sequence: cross-entropy of each target token, given the earlier ones.

    Its mean is over the tokens of the whole step, so it does not depend on the division of the
    step into processes and accumulated batches.

    Evaluation reports the mean loss per token and the accuracy of tokens. It also decodes the
    sources greedily, and reports the fraction of targets that are reproduced exactly, and chrF in
    characters of the text (Popović, 2015; here from 0 to 1), for which `trainer.datamodule` decodes
    tokens.

    Args:
        model: maps (source, mask, target) to logits of the target, and has a method
            `generate(source, mask, length, stop)`; see `arclight_zoo.text.t5.T5`.
        facts: about the data.
        metrics: further metrics of evaluation, on logits `(batch, length, vocab)` and targets
            `(batch, length)`; ignore targets of -100.
    """

    cross_entropy: nn.CrossEntropyLoss

    learns_from = "pairs of texts"
    padded = True
    facts: TextFacts

    def __init__(
        self,
        model: nn.Module,
        facts: TextFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, metrics=metrics, train_metrics=("loss",))
        self.cross_entropy = VocabularyLoss(reduction="sum")
        self.loss_sum, self.right, self.tokens, self.exact, self.pairs = (
            ExactSum() for _ in range(5)
        )
        self.chrf = CHRFScore(n_word_order=0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        source, mask, target, *of_step = batch
        logits = self.model(source, mask, target)
        total: Tensor = self.cross_entropy(logits.flatten(0, 1), target.flatten())
        loss = total / (of_step[0] if of_step else (target != IGNORED).sum())
        self.sums.add(loss.detach() * len(source), examples=len(source))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, TextFacts)
        source = torch.zeros(examples, facts.context, dtype=torch.long)
        target = source.new_zeros(examples, facts.target_context or facts.context)
        return source, source.new_ones(source.shape, dtype=torch.bool), target

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        source, mask, target = batch
        logits = self.model(source, mask, target).float()
        self.loss_sum.update(
            F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
        )
        self.right.update((logits.argmax(-1) == target).sum())
        self.tokens.update((target != IGNORED).sum())
        self.measure(logits, target)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, TextPairs)
        made = self.model.generate(  # type: ignore[operator]
            source, mask, data.max_target_length, data.end
        )
        self.exact.update(exact(made, target).sum())
        self.pairs.update(len(source))
        self.chrf.update(data.texts(made), [[text] for text in data.texts(target)])

    test_step = validation_step

    def results(self, stage: str) -> dict[str, float]:
        count = self.tokens.compute()
        metrics = {
            "loss": self.loss_sum.compute() / count,
            "accuracy": self.right.compute() / count,
            "exact": self.exact.compute() / self.pairs.compute(),
            "chrf": float(self.chrf.compute()),  # type: ignore[arg-type]
        }
        for metric in (self.loss_sum, self.right, self.tokens, self.exact, self.pairs, self.chrf):
            metric.reset()
        return {f"{stage}/{name}": value for name, value in metrics.items()}

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        facts = self.facts
        long, short = facts.context, facts.target_context or facts.context
        target = random_tokens(facts.vocab_size, examples, short, draw)
        return {
            "source": random_tokens(facts.vocab_size, examples, long, draw),
            "mask": random_mask(examples, long, draw),
            "target": target.masked_fill(~random_mask(examples, short, draw), IGNORED),
        }

    def answer(self, question: Question) -> Rows:
        """Generates the target of each line."""
        facts = self.facts
        tokenizer = kept_tokenizer(question.folder)
        end = tokenizers.end_of(tokenizer)
        length = facts.target_context or facts.context
        rows = [["text", "answer"]]
        batches = text_batches(question, tokenizer, facts.context, self.device)
        for texts, tokens, mask in batches:
            made = self.model.generate(tokens, mask, length, end)  # type: ignore[operator]
            rows += answer_rows(texts, decode(tokenizer, made, end))
        return rows

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        return pair_usage(self.facts, run)

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        return pair_hub_usage(self.facts)

    def save_hf(self, folder: Path, run: Path) -> Answer:
        again = write_model(self.model, folder, self.facts.class_names)
        write_tokenizer(run, folder, self.facts.context)
        return again


def exact(made: Tensor, target: Tensor) -> Tensor:
    """Whether each generated row starts with its whole target: `(batch,)`."""
    width = target.shape[1]
    made = F.pad(made[:, :width], (0, max(0, width - made.shape[1])), value=IGNORED)
    return ((made == target) | (target == IGNORED)).all(1)
