"""Semantic segmentation: the class of each pixel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchmetrics import Metric

from arclight import Facts, UserError
from arclight.ranges import NonNegative
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ConfusionMatrix, ExactSum
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight.tasks.usage import Usage
from arclight_zoo.gallery.segmentation.data import HOLDS, UNLABELLED
from arclight_zoo.gallery.segmentation.pictures import ROWS, draw_overlays, mask_image
from arclight_zoo.gallery.segmentation.stack import image_pixels
from arclight_zoo.learning.losses import classification_loss
from arclight_zoo.pixels.decode import Normalise, read_image
from arclight_zoo.pixels.depth import size_of
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_files
from arclight_zoo.pixels.task import PixelTask
from arclight_zoo.pixels.usage import PACKAGES, image_imports, image_reader

Batch = tuple[Tensor, Tensor]


class Segmentation(PixelTask):
    """Semantic segmentation with cross-entropy of the labelled pixels, and optionally Dice loss.

    Evaluation reports the mean cross-entropy of pixels (`loss`), pixel accuracy (`accuracy`), and
    the mean intersection over union (`miou`), counted over all pixels of the data set; classes
    that neither occur nor are predicted are skipped.

    Args:
        model: maps `(batch, channels, size, size)` to logits `(batch, classes, size, size)`.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: about the data.
        dice: weight of the Dice loss (Milletari et al., 2016), averaged over classes.
        class_weights: of the cross-entropy in training: `balanced`, or a list.
        metrics: further metrics of evaluation, on logits `(pixels, classes)` and classes
            `(pixels,)`.
    """

    learns_from = HOLDS

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        dice: NonNegative = 1.0,
        class_weights: Literal["balanced"] | list[float] | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        model = model.to(memory_format=torch.channels_last)
        super().__init__(model, optimizer, schedule, metrics=metrics)
        self.class_names = list(facts.class_names)
        self.loss = classification_loss(
            None, 0.0, class_weights, facts.class_counts, facts.num_classes
        )
        self.dice = dice
        self.loss_sum = ExactSum()
        self.confusion = ConfusionMatrix(facts.num_classes)
        self._shown: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, masks = batch
        logits = self.model(images)
        loss: Tensor = self.loss(logits, masks)
        if self.dice:
            loss = loss + self.dice * dice_loss(logits, masks)
        self.sums.add(loss.detach() * len(images), examples=len(images))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        images = self.blank_images(facts, examples)
        return images, torch.zeros(examples, *images.shape[-2:], dtype=torch.long)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(*batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        found = self._evaluate(*batch)
        if batch_idx == 0:
            self._shown = [part[:ROWS].cpu() for part in (*batch, found)]

    def _evaluate(self, images: Tensor, masks: Tensor) -> Tensor:
        """Updates the metrics with a batch; returns predicted classes `(batch, size, size)`."""
        logits = self.model(images).float()
        labelled = masks != UNLABELLED
        of_pixels, classes = logits.movedim(1, -1)[labelled], masks[labelled]
        self.loss_sum.update(F.cross_entropy(of_pixels, classes, reduction="sum"))
        self.confusion.update(of_pixels, classes)
        self.measure(of_pixels, classes)
        best: Tensor = logits.argmax(1)
        return best

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The class of each pixel `(batch, size, size)`."""
        logits: Tensor = self.model(batch)
        return logits.argmax(1)

    def results(self, stage: str) -> dict[str, float]:
        self.confusion_matrix = self.confusion.compute().cpu()
        pixels = int(self.confusion_matrix.sum())
        found = {"loss": self.loss_sum.compute() / max(1, pixels), **scores(self.confusion_matrix)}
        self.loss_sum.reset()
        self.confusion.reset()
        return {f"{stage}/{name}": value for name, value in found.items()}

    def pictures(self, folder: Path) -> Sequence[Path]:
        """Draws test images with their masks and predicted masks."""
        images, masks, found = (part.numpy() for part in self._shown)
        facts = self.known()
        mean, std = (np.array(values)[:, None, None] for values in (facts.mean, facts.std))
        pixels = (255 * (images * std + mean)).clip(0, 255).astype(np.uint8)
        shown = np.broadcast_to(pixels.transpose(0, 2, 3, 1), (*masks.shape, 3))
        return [draw_overlays(shown, masks, found, self.class_names, folder / "overlays.png")]

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        code = """

classes = json.loads(known["classes"])
for file in sys.argv[1:]:
    mask = model(images=prepared(file))[0][0].argmax(0)  # the class of each of SIZE x SIZE pixels
    shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
    print(json.dumps({"file": file, "shares": dict(zip(classes, shares.tolist()))}))
"""
        facts = self.known()
        return Usage(
            asks="IMAGE...",
            imports=image_imports(facts),
            packages=PACKAGES,
            code=image_reader(facts, whole=True) + code,
        )

    def answer(self, question: Question) -> Rows:
        """The mask file of each image, in the image's size, and the fraction of each class.

        Masks are written if the question has a folder for them; their pixels are classes.
        """
        facts = self.known()
        normalise = Normalise(facts.mean, facts.std)
        rows = [["file", "mask", *facts.class_names]]
        for number, file in enumerate(image_files(question.place)):
            try:
                image = read_image(file, str(file))
            except UserError as error:
                question.gaps[number] = str(file)
                question.faults.append(str(error))
                continue
            pixels = image_pixels(image, facts.channels, facts.image_size, facts.span)
            inputs = normalise(torch.from_numpy(pixels)[None]).to(self.device)
            found = self.predict_step(inputs, 0)[0].cpu().numpy().astype(np.uint8)
            shares = np.bincount(found.ravel(), minlength=facts.num_classes) / found.size
            place = ""
            if question.files:
                place = str(_write(found, size_of(image), question.place, file, question.files))
            rows.append([str(file), place, *(f"{share:.6f}" for share in shares)])
        return rows


def _write(found: np.ndarray, size: tuple[int, int], given: Path, file: Path, folder: Path) -> Path:
    """Writes a mask in the image's size, with the image's name and relative path."""
    name = file.relative_to(given) if given.is_dir() else Path(file.name)
    target = (folder / name).with_name(f"{file.stem}.png")
    target.parent.mkdir(parents=True, exist_ok=True)
    mask_image(found).resize(size, Image.Resampling.NEAREST).save(target)
    return target


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """1 minus the overlap of probabilities and masks, averaged over classes.

    Args:
        logits: `(batch, classes, height, width)`.
        masks: classes `(batch, height, width)`, -100 for unlabelled pixels.
    """
    labelled = (masks != UNLABELLED)[:, None]
    chances = logits.float().softmax(1) * labelled
    true = F.one_hot(masks.clamp(min=0), logits.shape[1]).movedim(-1, 1) * labelled
    both = (chances * true).sum((0, 2, 3))
    either = (chances + true).sum((0, 2, 3))
    return 1 - ((2 * both + 1) / (either + 1)).mean()


def scores(confusion: Tensor) -> dict[str, float]:
    """Pixel accuracy, and mean intersection over union of true or predicted classes.

    Args:
        confusion: counts `(classes, classes)`, rows are the true classes.
    """
    counts = confusion.double()
    right, union = counts.diag(), counts.sum(0) + counts.sum(1) - counts.diag()
    ious = (right / union)[union > 0]
    return {
        "accuracy": float(right.sum() / counts.sum().clamp(min=1)),
        "miou": float(ious.mean()) if len(ious) else 0.0,
    }
