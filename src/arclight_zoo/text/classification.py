"""Text classification with any model that maps tokens and their mask to logits."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.ranges import Share
from arclight.tasks.question import Question, Rows, label_rows
from arclight.tasks.scores import ClassScores
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight.tasks.usage import HubUsage, Usage
from arclight_zoo.learning.losses import classification_loss
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.text.usage import class_hub_usage, class_usage
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.hf_tokenizer import write_tokenizer
from arclight_zoo.tokens.questions import kept_tokenizer, random_mask, random_tokens, text_batches
from arclight_zoo.tokens.text_facts import TextFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Batch = tuple[Tensor, Tensor, Tensor]


class TextClassification(Task):
    """Text classification with cross-entropy and label smoothing, or another loss of logits.

    Label smoothing and class weights apply to training only: evaluation reports the plain mean of
    the cross-entropy, or of `loss`.

    Args:
        model: tokens and mask, `(batch, length)`, to logits `(batch, classes)`.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: about the data; None: the number of classes is the number of the model's logits in
            the first evaluation, and class names are numbers.
        label_smoothing: fraction of the target spread over all classes (Szegedy et al., 2016).
        loss: of logits and classes `(batch,)`; its mean over the batch. None: cross-entropy.
        class_weights: weight of each class in the loss; `balanced`: inverse to its frequency.
        metrics: further metrics of evaluation, on probabilities `(batch, classes)` and classes
            `(batch,)`.
    """

    learns_from = "labelled texts"
    padded = True

    def __init__(
        self,
        model: nn.Module,
        facts: TextFacts | None,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        label_smoothing: Share = 0.0,
        loss: nn.Module | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, ("loss", "accuracy"), metrics)
        self.class_names = list(facts.class_names) if facts else []
        classes, counts = (len(facts.class_names), facts.class_counts) if facts else (None, [])
        self.loss = classification_loss(loss, label_smoothing, class_weights, counts, classes)
        self.evaluates_loss = loss is not None
        self.scores = ClassScores(classes)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        tokens, mask, labels = batch
        logits = self.model(tokens, mask)
        loss: Tensor = self.loss(logits, labels)
        correct = (logits.detach().argmax(1) == labels).sum()
        self.sums.add(loss.detach() * len(labels), correct, examples=len(labels))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        if not isinstance(facts, TextFacts):
            raise NotImplementedError("these facts do not contain the length of a text")
        tokens = torch.zeros(examples, facts.context, dtype=torch.long)
        return tokens, tokens.new_ones(tokens.shape, dtype=torch.bool), tokens[:, 0].clone()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        tokens, mask, labels = batch
        logits = self.model(tokens, mask).float()
        loss = self.loss(logits, labels) * len(logits) if self.evaluates_loss else None
        self.scores.add(logits, labels, loss)
        self.keep_classes(logits, labels)
        if self.metrics:
            self.measure(logits.softmax(1), labels)

    test_step = validation_step

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Class probabilities `(batch, classes)` of (tokens, mask)."""
        logits: Tensor = self.model(*batch)
        return logits.float().softmax(1)

    def results(self, stage: str) -> dict[str, float]:
        metrics, self.confusion_matrix = self.scores.read(stage)
        self.class_names = self.class_names or list(map(str, range(len(self.confusion_matrix))))
        return metrics

    def draw_example(self, axis: "Axes", batch: Batch, place: int) -> None:
        """Draws the beginning of the text, decoded from its tokens."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        tokenizer = tokenizers.load(data.folder)
        if tokenizer is None:
            raise NotImplementedError("this data module has no tokenizer")
        tokens, mask, _ = batch
        text = tokenizer.decode(tokens[place][mask[place]].tolist())
        lines = textwrap.wrap(text, 24, max_lines=8, placeholder=" ...")
        axis.text(0, 1, "\n".join(lines), va="top", fontsize=6, parse_math=False)

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        facts = self.known()
        return {
            "tokens": random_tokens(facts.vocab_size, examples, facts.context, draw),
            "mask": random_mask(examples, facts.context, draw),
        }

    def answer(self, question: Question) -> Rows:
        """The predicted label of each line, and the probability of each class."""
        facts = self.known()
        names = facts.class_names
        rows = [["text", "label", *names]]
        tokenizer = kept_tokenizer(question.folder)
        batches = text_batches(question, tokenizer, facts.context, self.device)
        for texts, tokens, mask in batches:
            rows += label_rows(texts, self.predict_step((tokens, mask), 0), names)
        return rows

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        return class_usage(self.known(), run)

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        return class_hub_usage()

    def save_hf(self, folder: Path, run: Path) -> Answer:
        again = write_model(self.model, folder, self.known().class_names)
        write_tokenizer(run, folder, self.known().context)
        return again

    def known(self) -> TextFacts:
        """The facts about the texts.

        Raises:
            UserError: the data module does not provide them.
        """
        if not isinstance(self.facts, TextFacts):
            raise UserError(
                "The data module of this run does not provide the length, tokens and classes of "
                "its texts: set its attribute `facts` to a TextFacts."
            )
        return self.facts
