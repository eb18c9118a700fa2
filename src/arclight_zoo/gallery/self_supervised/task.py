"""Contrastive learning of features, evaluated with a linear probe."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.models.heads import find_head
from arclight.ranges import Count, Positive
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ClassScores
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight_zoo.gallery.self_supervised.probe import LinearProbe, probed
from arclight_zoo.gallery.self_supervised.views import Views
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_batches
from arclight_zoo.pixels.task import PixelTask

Batch = tuple[Tensor, Tensor]


class SimCLR(PixelTask):
    """SimCLR: matches two views of an image among the views of all others (Chen et al., 2020).

    Training ignores labels. Each evaluation fits a linear probe on frozen features of training
    images and reports its accuracy (`accuracy`), also for the weights before training
    (`random_accuracy`). Other runs can start from the weights: `model.pretrained=RUN`.

    Args:
        model: any image classifier; its head is removed.
        facts: about the data.
        optimizer: see `Task`.
        schedule: see `Task`.
        views: random augmentation that makes the views.
        projection: width of the space in which views are compared.
        temperature: of the similarities.
        probe_labels: number of labelled training images for the probe; None: all.
    """

    learns_from = "labelled images"

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        views: Views | None = None,
        projection: Count = 64,
        temperature: Positive = 0.2,
        probe_labels: Count | None = None,
    ) -> None:
        head = find_head(model)
        width = _width(model.get_submodule(head))
        model.set_submodule(head, nn.Identity())
        super().__init__(model.to(memory_format=torch.channels_last), optimizer, schedule)
        self.views = views or Views()
        self.temperature, self.probe_labels = temperature, probe_labels
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection)
        )
        # The seed determines these weights, so checkpoints do not store them.
        self._at_random = (copy.deepcopy(model).eval().requires_grad_(False),)
        self._probes: tuple[LinearProbe, LinearProbe] | None = None
        self.scores = ClassScores(facts.num_classes)
        self.scores_at_random = ClassScores(facts.num_classes)
        self.class_names = list(facts.class_names)

    def optimizer_of(self, module: nn.Module, fused: bool) -> torch.optim.Optimizer:
        """The optimizer of model and projector, for any `module`."""
        return super().optimizer_of(nn.ModuleList([self.model, self.projector]), fused)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images = batch[0]
        both = torch.cat([self.views(images), self.views(images)])
        loss = contrast(self.projector(self.model(both)), self.temperature)
        self.sums.add(loss.detach() * len(images), examples=len(images))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._probe()

    def on_test_epoch_start(self) -> None:
        self._probe()

    def _probe(self) -> None:
        """Fits both probes at the start: at the end, averaged weights are already swapped back."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, DataModule):
            raise UserError(
                "The linear probe needs training images without augmentation, for which "
                f"{type(data).__name__} must be an arclight.DataModule: make it one."
            )
        random = self._at_random[0].to(self.device)
        of_model, of_random = (
            probed(one, data, self.device, self.probe_labels) for one in (self.model, random)
        )
        self._probes = of_model, of_random

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        assert self._probes is not None
        of_model, of_random = self._probes
        logits = of_model(self.model(images))
        self.scores.add(logits, labels)
        self.keep_classes(logits, labels)
        self.scores_at_random.add(of_random(self._at_random[0](images)), labels)

    test_step = validation_step

    def results(self, stage: str) -> dict[str, float]:
        metrics, self.confusion_matrix = self.scores.read(stage)
        before, _ = self.scores_at_random.read(stage)
        return {
            f"{stage}/accuracy": metrics[f"{stage}/accuracy"],
            f"{stage}/random_accuracy": before[f"{stage}/accuracy"],
        }

    # Predictions of a finished run

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Features `(batch, width)`."""
        features: Tensor = self.model(batch)
        return features.float()

    def answer(self, question: Question) -> Rows:
        """The features of each image."""
        rows: Rows = []
        for files, images in image_batches(question, self.known(), self.device):
            for file, features in zip(files, self.predict_step(images, 0).tolist(), strict=True):
                rows.append([file, *(f"{value:.6g}" for value in features)])
        width = len(rows[0]) - 1 if rows else 0
        return [["file", *(f"feature_{i}" for i in range(width))], *rows]


def contrast(embedded: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross-entropy of two views (NT-Xent; Chen et al., 2020).

    Args:
        embedded: `(2 * images, width)`: first one view of all images, then the other.
        temperature: of the similarities.
    """
    unit = F.normalize(embedded.float(), dim=1)
    similarity = unit @ unit.T / temperature
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    half = len(unit) // 2
    other = (torch.arange(len(unit), device=unit.device) + half) % len(unit)
    return F.cross_entropy(similarity.masked_fill(itself, -torch.inf), other)


def _width(head: nn.Module) -> int:
    """The number of input features of the head.

    Raises:
        UserError: the head is not a linear layer.
    """
    if not isinstance(head, nn.Linear):
        raise UserError(
            f"The head of the model is a {type(head).__name__}, but SimCLR needs a linear head: "
            "choose another model."
        )
    return head.in_features
