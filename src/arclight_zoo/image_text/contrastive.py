"""Contrastive learning of images and texts, with any model that embeds both."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric, SumMetric
from torchmetrics.utilities.distributed import gather_all_tensors

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.tasks.question import Question, Rows, label_rows
from arclight.tasks.scores import ConfusionMatrix
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight.tasks.usage import HubUsage, Usage
from arclight_zoo.image_text.data import CaptionedImages
from arclight_zoo.image_text.exports import random_pairs, save_pair_model
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.image_text.usage import zero_shot_hub_usage, zero_shot_usage
from arclight_zoo.pixels.drawing import draw_image
from arclight_zoo.pixels.questions import image_batches
from arclight_zoo.tokens.questions import encode, kept_tokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
ROWS = 1024  # number of rows of similarities to compute at a time
RECALLS = (1, 5)


class Contrastive(Task):
    """Contrastive learning: matches images and texts within a batch (CLIP; Radford et al., 2021).

    All texts of a class are correct for its images: the target is spread evenly over them, since
    otherwise equal captions would be pushed apart. If several processes share a batch, each
    compares its own part with the whole batch.

    Evaluation reports zero-shot accuracy and its mean loss: each image is assigned to the class
    with the most similar captions (the mean of their embeddings). For a table, the classes are
    the distinct captions of the evaluated images. It also reports recall at 1 and 5 of texts by
    image and of images by text over the whole evaluation set: the fraction of queries with a
    correct answer among the 1 or 5 most similar. Ties count as errors.

    Args:
        model: maps (images, tokens, mask) to embeddings of both and a scale, and has a method
            `embed_texts(tokens, mask)`; see `arclight_zoo.image_text.clip.CLIP`.
        facts: about the data.
        metrics: further metrics of evaluation, on the zero-shot classification: probabilities
            `(images, classes)`, the softmax of scaled similarities, and classes `(images,)`.
    """

    learns_from = "images with texts"
    padded = True
    parts_differ = "each compared with fewer others"
    facts: ImageTextFacts

    def __init__(
        self,
        model: nn.Module,
        facts: ImageTextFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(
            model, optimizer, schedule, metrics=metrics, train_metrics=("loss", "accuracy")
        )
        self.class_names = facts.class_names
        self.confusion = ConfusionMatrix(facts.num_classes) if facts.class_names else None
        names = ("loss", "accuracy", *(f"{way}@{k}" for way in ("text", "image") for k in RECALLS))
        self.totals = nn.ModuleDict({name: SumMetric(nan_strategy="disable") for name in names})
        self.examples = SumMetric()
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, tokens, mask, classes = batch
        image, text, scale = self.model(images, tokens, mask)
        every_class = gathered(classes)
        loss_of_images, right = loss_of(scale * image @ gathered(text).T, classes, every_class)
        loss_of_texts, _ = loss_of(scale * text @ gathered(image).T, classes, every_class)
        loss = (loss_of_images + loss_of_texts) / 2
        self.sums.add(loss.detach() * len(images), right, examples=len(images))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, ImageTextFacts)
        images = torch.zeros(examples, facts.channels, facts.image_size, facts.image_size)
        tokens = torch.zeros(examples, facts.context, dtype=torch.long)
        mask = tokens.new_ones(tokens.shape, dtype=torch.bool)
        return images, tokens, mask, tokens[:, 0].clone()

    def draw_example(self, axis: "Axes", batch: Batch, place: int) -> None:
        assert isinstance(self.facts, ImageTextFacts)
        draw_image(axis, batch[0][place], self.facts)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, tokens, mask, classes = batch
        image, text, scale = self.model(images, tokens, mask)
        # Copies, since with compile=cudagraphs the next batch overwrites these outputs.
        image, text, self._scale = (
            out.to(torch.float32, copy=True) for out in (image, text, scale)
        )
        self._seen.append((image, text, classes))

    test_step = validation_step

    def results(self, stage: str) -> dict[str, float]:
        image, text, classes = (torch.cat(column) for column in zip(*self._seen, strict=True))
        self._seen.clear()
        every_image, every_text, every_class = (_every(own) for own in (image, text, classes))
        choices, numbers = self._choices(every_text, every_class)
        for rows in torch.split(torch.arange(len(image), device=image.device), ROWS):
            own = classes[rows]
            logits = self._scale * image[rows] @ choices.T
            target = torch.searchsorted(numbers, own)
            self.measure(logits.softmax(1), target)
            self._count("loss", F.cross_entropy(logits, target, reduction="sum"))
            self._count("accuracy", (logits.argmax(1) == target).sum())
            if self.confusion is not None:
                self.confusion.update(logits, target)
                self.keep_classes(logits, target)
            right = own[:, None] == every_class
            ranks = {
                "text": ranks_of(image[rows] @ every_text.T, right),
                "image": ranks_of(text[rows] @ every_image.T, right),
            }
            for way, rank in ranks.items():
                for k in RECALLS:
                    self._count(f"{way}@{k}", (rank < k).sum())
            self.examples.update(len(rows))
        return self._means(stage)

    def _count(self, name: str, value: Tensor) -> None:
        self.totals[name].update(value)  # type: ignore[operator]

    def _means(self, stage: str) -> dict[str, float]:
        count = self.examples.compute().item()
        metrics = {}
        for name, total in self.totals.items():
            key = name.replace("@", "_recall_at_")
            metrics[f"{stage}/{key}"] = total.compute().item() / count  # type: ignore[operator]
            total.reset()  # type: ignore[operator]
        self.examples.reset()
        if self.confusion is not None:
            self.confusion_matrix = self.confusion.compute().cpu()
            self.confusion.reset()
        return metrics

    def _choices(self, every_text: Tensor, every_class: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of the classes to choose from, `(n, width)`, and their sorted classes."""
        if not self.class_names:
            numbers, which = torch.unique(every_class, return_inverse=True)
            places = torch.arange(len(which), device=which.device)
            first = torch.full_like(numbers, len(which)).scatter_reduce(0, which, places, "amin")
            return every_text[first], numbers
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, CaptionedImages)
        tokens, mask = data.known.to(self.device).every()
        embedded = [
            self.model.embed_texts(*of_class)  # type: ignore[operator]
            for of_class in zip(tokens, mask, strict=True)
        ]
        means = torch.stack([one.float().mean(0) for one in embedded])
        return F.normalize(means, dim=1), torch.arange(len(means), device=self.device)

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        return random_pairs(self.facts, examples, draw)

    def answer(self, question: Question) -> Rows:
        """Zero-shot classification: the class with the most similar captions for each image."""
        facts, model = self.facts, self.model
        if not facts.class_names:
            raise UserError(
                f"{question.folder} was trained on captions without classes, so there are no "
                "classes to choose from: train with data.captions to have them."
            )
        data = question.config["data"]
        words = data["words"] or facts.class_names
        templates = data["captions"]
        captions = [template.replace("{}", word) for word in words for template in templates]
        tokenizer = kept_tokenizer(question.folder)
        tokens, mask = encode(tokenizer, captions, facts.context, self.device)
        every: Tensor = model.embed_texts(tokens, mask)  # type: ignore[operator]
        embedded = every.view(-1, len(templates), every.shape[1])
        texts = F.normalize(embedded.mean(1), dim=-1)  # as evaluation does
        rows = [["file", "label", *facts.class_names]]
        for files, images in image_batches(question, facts, self.device):
            similarity = model.embed_images(images) @ texts.T  # type: ignore[operator]
            probabilities = (model.scale() * similarity).softmax(1)  # type: ignore[operator]
            rows += label_rows(files, probabilities, facts.class_names)
        return rows

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        if not self.facts.class_names:
            raise NotImplementedError("there is no class to choose")
        return zero_shot_usage(self.facts, run, config["data"])

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        if not self.facts.class_names:
            raise NotImplementedError("there is no class to choose")
        return zero_shot_hub_usage(self.facts, self.model, config["data"])

    def save_hf(self, folder: Path, run: Path) -> Answer:
        return save_pair_model(self.model, self.facts, folder, run)


def loss_of(logits: Tensor, classes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy with all columns of the row's class as target, and the number of correct rows.

    Args:
        logits: `(batch, all)`.
        classes: of the rows, `(batch,)`.
        others: of the columns, `(all,)`.
    """
    right = classes[:, None] == others
    target = right / right.sum(1, keepdim=True)
    found = right.gather(1, logits.detach().argmax(1, keepdim=True)).sum()
    return F.cross_entropy(logits, target), found


def ranks_of(similarity: Tensor, right: Tensor) -> Tensor:
    """The rank of the best correct answer for each query, from 0: `(queries,)`.

    That is, the number of wrong answers that are at least as similar.

    Args:
        similarity: similarities `(queries, answers)`.
        right: correct answers, bool `(queries, answers)`.
    """
    best = similarity.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    return ((similarity >= best) & ~right).sum(1)


class _Gather(torch.autograd.Function):
    """Gathers rows of all processes; gradients are summed over processes.

    `torch.distributed.nn` has the same, but it is deprecated and its replacement is new.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(every, own.contiguous())
        return torch.cat(every)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def gathered(own: Tensor) -> Tensor:
    """Concatenates equal numbers of rows of all processes, with gradients."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return own
    every: Tensor = _Gather.apply(own)
    return every


def _every(own: Tensor) -> Tensor:
    """Concatenates rows of all processes, whose numbers may differ."""
    return torch.cat(gather_all_tensors(own)) if dist.is_initialized() else own
