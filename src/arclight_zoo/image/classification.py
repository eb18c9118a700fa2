"""Image classification with any backbone that maps images to logits."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.ranges import Share
from arclight.tasks.question import Question, Rows, label_rows
from arclight.tasks.scores import ClassScores
from arclight.tasks.task import Answer, OptimizerFactory, ScheduleFactory, Task
from arclight_zoo.image.timm_folder import write_timm
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.pixels.hf_processor import write_processor
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_batches, random_images

Batch = tuple[Tensor, Tensor]


class ImageClassification(Task):
    """Cross-entropy with label smoothing and soft targets.

    Args:
        model: `(batch, channels, height, width)` to logits `(batch, classes)`.
        facts: what is known of the data.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016).
    """

    learns_from = "labelled images"

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        label_smoothing: Share = 0.0,
    ) -> None:
        # Convolutions are faster with the channels of a pixel side by side (1.2x on CPUs, more on
        # tensor cores); the weights' layout is enough, what they compute takes it over.
        model = model.to(memory_format=torch.channels_last)
        super().__init__(model, optimizer, schedule, figures=("loss", "accuracy"))
        self.class_names = facts.class_names
        self.label_smoothing = label_smoothing
        self.scores = ClassScores(facts.num_classes)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0 and hasattr(self.model, "whiten"):
            # here and not in `forward`, of which two graphs would be compiled, before and after
            self.model.whiten(batch[0])  # type: ignore[operator]
            if dist.is_initialized():  # of all processes the first one's
                dist.broadcast(self.model.whitening, 0)  # type: ignore[arg-type]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch  # classes (batch,) or, mixed, soft targets (batch, classes)
        logits = self.model(images)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        correct = (logits.detach().argmax(1) == classes).sum()
        self.sums.add(loss.detach() * len(images), correct, examples=len(images))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, ImageFacts)
        shape = (facts.channels, facts.image_size, facts.image_size)
        return torch.zeros(examples, *shape), torch.zeros(examples, dtype=torch.long)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.scores.add(self.model(batch[0]), batch[1])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.scores.add(self.model(batch[0]), batch[1])

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Class probabilities `(batch, classes)`."""
        logits: Tensor = self.model(batch)
        return logits.float().softmax(1)

    def results(self, stage: str) -> dict[str, float]:
        figures, self.confusion_matrix = self.scores.read(stage)
        return figures

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        return {"images": random_images(self._known(), examples, draw)}

    def answer(self, question: Question) -> Rows:
        """Each image's label, and the probability of each class."""
        facts = self._known()
        rows = [["file", "label", *facts.class_names]]
        for files, images in image_batches(question, facts, self.device):
            rows += label_rows(files, self.predict_step(images, 0), facts.class_names)
        return rows

    def save_hf(self, folder: Path, run: Path) -> Answer:
        facts = self._known()
        if hasattr(self.model, "pretrained_cfg"):
            return write_timm(self.model, facts, folder)
        again = write_model(self.model, folder, facts.class_names)
        write_processor(self.model, facts, folder)
        return again

    def _known(self) -> ImageFacts:
        if not isinstance(self.facts, ImageFacts):
            raise UserError(
                "The data of this run do not tell the size, channels and classes of its images: "
                "set `facts`, an ImageFacts, in the data module."
            )
        return self.facts
