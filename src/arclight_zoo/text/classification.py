"""Text classification with any model that maps tokens and their mask to logits."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.data.facts import Facts
from arclight.ranges import Share
from arclight.tasks.question import Question, Rows, label_rows
from arclight.tasks.scores import ClassScores
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.tokens.hf_tokenizer import write_tokenizer
from arclight_zoo.tokens.questions import kept_tokenizer, random_mask, random_tokens, text_batches
from arclight_zoo.tokens.text_facts import TextFacts

Batch = tuple[Tensor, Tensor, Tensor]


class TextClassification(Task):
    """Cross-entropy with label smoothing.

    Args:
        model: tokens and mask, `(batch, length)`, to logits `(batch, classes)`.
        facts: what is known of the data.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016).
    """

    learns_from = "labelled texts"
    padded = True
    facts: TextFacts

    def __init__(
        self,
        model: nn.Module,
        facts: TextFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        label_smoothing: Share = 0.0,
    ) -> None:
        super().__init__(model, optimizer, schedule, figures=("loss", "accuracy"))
        self.class_names = facts.class_names
        self.label_smoothing = label_smoothing
        self.scores = ClassScores(len(facts.class_names))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        tokens, mask, labels = batch
        logits = self.model(tokens, mask)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        correct = (logits.detach().argmax(1) == labels).sum()
        self.sums.add(loss.detach() * len(labels), correct, examples=len(labels))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, TextFacts)
        tokens = torch.zeros(examples, facts.context, dtype=torch.long)
        return tokens, tokens.new_ones(tokens.shape, dtype=torch.bool), tokens[:, 0].clone()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def _evaluate(self, batch: Batch) -> None:
        tokens, mask, labels = batch
        self.scores.add(self.model(tokens, mask), labels)

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Class probabilities `(batch, classes)` of (tokens, mask)."""
        logits: Tensor = self.model(*batch)
        return logits.float().softmax(1)

    def results(self, stage: str) -> dict[str, float]:
        figures, self.confusion_matrix = self.scores.read(stage)
        return figures

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        context = self.facts.context
        return {
            "tokens": random_tokens(self.facts.vocab_size, examples, context, draw),
            "mask": random_mask(examples, context, draw),
        }

    def answer(self, question: Question) -> Rows:
        """Each line's label, and the probability of each class."""
        names = self.facts.class_names
        rows = [["text", "label", *names]]
        tokenizer = kept_tokenizer(question.folder)
        batches = text_batches(question, tokenizer, self.facts.context, self.device)
        for texts, tokens, mask in batches:
            rows += label_rows(texts, self.predict_step((tokens, mask), 0), names)
        return rows

    def save_hf(self, folder: Path, run: Path) -> Answer:
        again = write_model(self.model, folder, self.facts.class_names)
        write_tokenizer(run, folder)
        return again
