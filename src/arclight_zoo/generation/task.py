"""What all tasks that learn to make images share: samples, their scores and their sheets."""

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
SHOWN = 96  # images of a sheet
AT_ONCE = 500  # images that are made together


class ImageGeneration(PixelTask):
    """Learns to make images like those of the data; subclasses say how noise becomes an image.

    Each evaluation makes the images of the same noise and judges them (`Judge`): inception score,
    share of confident ones and Frechet distance from the validation or test images. A sheet of them
    is drawn for each epoch, in `plots/samples`.

    Args:
        model: the network.
        facts: what is known of the data.
        optimizer: see `Task`.
        schedule: see `Task`.
        samples: images that an evaluation makes.
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
        self._judge: tuple[Judge, ...] = ()  # no module of the task: it is not trained or saved
        self._made = torch.empty(0)
        shape = (1, facts.channels, 1, 1)
        self.mean, self.std = (torch.tensor(v).view(shape) for v in (facts.mean, facts.std))

    def noise(self, examples: int, draw: torch.Generator) -> Tensor:
        """Where images begin: normal numbers `(examples, ...)` on the CPU."""
        raise NotImplementedError

    def make(self, noise: Tensor) -> Tensor:
        """Images `(examples, channels, height, width)` of noise, about from -1 to 1."""
        raise NotImplementedError

    def from_data(self, images: Tensor) -> Tensor:
        """Images as the data serve them, on the scale -1 to 1."""
        mean, std = self.mean.to(images.device), self.std.to(images.device)
        return (images * std + mean) * 2 - 1

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Images from 0 to 1 of noise."""
        return (self.make(batch).float() / 2 + 0.5).clamp(0, 1)

    # Evaluation. Samples are made when it begins: when it ends, an average of the weights (`ema`)
    # has gone back already.

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
        """The classifier of the run's own images; trained when it is first asked for."""
        if not self._judge:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if not isinstance(data, DataModule):
                raise UserError(
                    "Samples are judged by a classifier of the training images, for which "
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
        figures = judge.scores(judge.features(as_data), real)
        return {f"{stage}/{name}": value for name, value in figures.items()}

    def _draw(self) -> None:
        if self.trainer.is_global_zero and self.trainer.state.fn == "fit":
            place = Path(self.trainer.default_root_dir) / "plots" / "samples"
            file = place / f"epoch={self.current_epoch + 1:03}.png"
            self.show(save_sheet(self._made[:SHOWN], file))

    def pictures(self, folder: Path) -> Sequence[Path]:
        return [save_sheet(self._made[:SHOWN], folder / "samples.png")]

    # What a finished run is asked

    def answer(self, question: Question) -> Rows:
        """An image for each line of a text file, which holds a number: the seed of its noise.

        With a file for the answers each image is a png beside it, else a row of its pixels from 0
        to 1, channel by channel and line by line.
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
        UserError: it is no text file, or a line holds something else.
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
