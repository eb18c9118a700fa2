"""The base of tasks that generate images: samples, their scores, and grids of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.ranges import Count
from arclight.tasks.question import Question, Rows
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight_zoo.generation.judge import Judge
from arclight_zoo.generation.sheets import save_image, save_sheet
from arclight_zoo.learning.collected import Collected
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.task import PixelTask

Batch = tuple[Tensor, Tensor]
SHOWN = 96  # images in a grid
AT_ONCE = 500  # images per batch of generation


class ImageGeneration(PixelTask):
    """Learns to generate images like those of the data; subclasses turn noise into images.

    Each evaluation generates images from the same noise and scores them with `Judge`: inception
    score, fraction of confident ones, and Frechet distance from the validation or test images. A
    grid of them is saved each epoch, in `plots/samples`.

    Args:
        model: the network.
        facts: about the data.
        optimizer: see `Task`.
        schedule: see `Task`.
        samples: images per evaluation.
        train_metrics: see `Task`.
    """

    learns_from = "labelled images"

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        samples: Count = 500,
        train_metrics: tuple[str, ...] = ("loss",),
    ) -> None:
        super().__init__(model, optimizer, schedule, train_metrics)
        self.samples = samples
        self.real = Collected()
        self._judge: tuple[Judge, ...] = ()  # a tuple, so that it is not a submodule of the task
        self._made = torch.empty(0)
        shape = (1, facts.channels, 1, 1)
        self.mean, self.std = (torch.tensor(v).view(shape) for v in (facts.mean, facts.std))

    def noise(self, examples: int, draw: torch.Generator) -> Tensor:
        """Normally distributed noise `(examples, ...)` on the CPU, to generate images from."""
        raise NotImplementedError

    def make(self, noise: Tensor) -> Tensor:
        """Generates images `(examples, channels, height, width)`, about in -1 to 1, from noise."""
        raise NotImplementedError

    def from_data(self, images: Tensor) -> Tensor:
        """Scales images from the data module to the range -1 to 1."""
        mean, std = self.mean.to(images.device), self.std.to(images.device)
        return (images * std + mean) * 2 - 1

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Generates images in 0 to 1 from noise."""
        return (self.make(batch).float() / 2 + 0.5).clamp(0, 1)

    # Evaluation. Samples are generated when it begins: when it ends, the averaged weights (`ema`)
    # have already been swapped back.

    def on_validation_epoch_start(self) -> None:
        self._sample()

    def on_test_epoch_start(self) -> None:
        self._sample()

    def _sample(self) -> None:
        noise = self.noise(self.samples, torch.Generator().manual_seed(0))
        parts = torch.split(noise, AT_ONCE)
        made = [self.predict_step(part.to(self.device), 0) for part in parts]
        self._made = torch.cat(made)

    def judge(self) -> Judge:
        """The classifier for the run's images; trained at first use."""
        if not self._judge:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if not isinstance(data, DataModule):
                raise UserError(
                    "Samples are scored with a classifier of the training images, for which "
                    f"{type(data).__name__} must be an arclight.DataModule: make it one."
                )
            self._judge = (Judge(data, self.device),)
        return self._judge[0]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        self.real.update(self.judge().features(images), labels)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def results(self, stage: str) -> dict[str, float]:
        judge = self.judge()
        as_data = (self._made - self.mean.to(self.device)) / self.std.to(self.device)
        real = self.real.compute()[0].to(self.device)
        self.real.reset()
        if stage == "val" and not self.trainer.sanity_checking:
            self._draw()
        metrics = judge.scores(judge.features(as_data), real)
        return {f"{stage}/{name}": value for name, value in metrics.items()}

    def _draw(self) -> None:
        if self.trainer.is_global_zero and self.trainer.state.fn == "fit":
            place = Path(self.trainer.default_root_dir) / "plots" / "samples"
            file = place / f"epoch={self.current_epoch + 1:03}.png"
            self.show(save_sheet(self._made[:SHOWN], file))

    def pictures(self, folder: Path) -> Sequence[Path]:
        return [save_sheet(self._made[:SHOWN], folder / "samples.png")]

    # Predictions of a finished run

    def answer(self, question: Question) -> Rows:
        """Generates an image for each line of a text file, which holds the seed of its noise.

        With an output file, each image is a png beside it; without one, a row of its pixels from
        0 to 1, channel by channel and line by line.
        """
        seeds = _seeds(question)
        noise = [self.noise(1, torch.Generator().manual_seed(seed)) for seed in seeds]
        images = torch.cat(
            [
                self.predict_step(torch.cat(noise[i : i + AT_ONCE]).to(self.device), 0).cpu()
                for i in range(0, len(noise), AT_ONCE)
            ]
        )
        if question.files is None:
            header = ["seed", *(f"pixel_{i}" for i in range(images[0].numel()))]
            pixels = images.flatten(1).tolist()
            rows = [[f"{value:.4f}" for value in row] for row in pixels]
        else:
            header, rows = ["seed", "file"], []
            for seed, image in zip(seeds, images, strict=True):
                file = question.files / f"{seed}.png"
                rows.append([str(save_image(image, file))])
        return [header, *([str(seed), *row] for seed, row in zip(seeds, rows, strict=True))]


def _seeds(question: Question) -> list[int]:
    """The numbers of the file's lines.

    Raises:
        UserError: it is not a text file, or a line is not a whole number.
    """
    asked = f"{question.place} should be a text file with a whole number, a seed, in each line"
    try:
        lines = question.place.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{asked} ({error}).") from error
    question.gaps |= {i: "" for i, line in enumerate(lines) if not line.strip()}
    words = [line.strip() for line in lines if line.strip()]
    for word in words:
        if not word.isdecimal():
            raise UserError(f"{asked}; {word[:40]!r} is not one.")
    if not words:
        raise UserError(f"{asked}, and is empty.")
    return [int(word) % 2**63 for word in words]
