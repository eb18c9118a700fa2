"""Denoising diffusion, and fast sampling from it."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.ranges import Count
from arclight.tasks.scores import ExactSum
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight.tasks.usage import Usage
from arclight_zoo.generation.task import Batch, ImageGeneration
from arclight_zoo.generation.usage import noise_usage
from arclight_zoo.pixels.image_facts import ImageFacts


class Diffusion(ImageGeneration):
    """Denoising diffusion: predicts the noise in images (DDPM; Ho et al., 2020), and samples
    deterministically (DDIM; Song et al., 2021).

    It has the cosine noise schedule of Nichol & Dhariwal (2021). Evaluation reports the scores of
    samples, and the mean squared error of the predicted noise (`loss`).

    Args:
        model: maps noisy images `(batch, channels, size, size)` and times `(batch,)` to the noise.
        facts: about the data.
        optimizer: see `Task`.
        schedule: see `Task`.
        noise_steps: number of times between image and noise.
        sampling_steps: denoising steps per sample, at most `noise_steps`.
        samples: images per evaluation.
    """

    kept: Tensor

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        noise_steps: Count = 1000,
        sampling_steps: Count = 25,
        samples: Count = 500,
    ) -> None:
        super().__init__(model, facts, optimizer, schedule, samples)
        self.noise_steps, self.sampling_steps = noise_steps, min(sampling_steps, noise_steps)
        self.register_buffer("kept", cosine(noise_steps), persistent=False)
        self.loss_sum, self.counted = ExactSum(), ExactSum()

    def mixed(self, images: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Adds noise to images for times `(batch,)`, from almost none to almost only noise."""
        kept = self.kept[times][:, None, None, None]
        return kept.sqrt() * images + (1 - kept).sqrt() * noise

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images = self.from_data(batch[0])
        times = torch.randint(self.noise_steps, (len(images),), device=images.device)
        noise = torch.randn_like(images)
        loss = F.mse_loss(self.model(self.mixed(images, noise, times), times), noise)
        self.sums.add(loss.detach() * len(images), examples=len(images))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        images = self.from_data(batch[0])
        draw = torch.Generator().manual_seed(batch_idx)  # the same noise in each evaluation
        noise = torch.randn(images.shape, generator=draw).to(images.device)
        times = torch.arange(len(images), device=images.device) * 37 % self.noise_steps
        found = self.model(self.mixed(images, noise, times), times)
        self.loss_sum.update(F.mse_loss(found, noise) * len(images))
        self.counted.update(len(images))

    def results(self, stage: str) -> dict[str, float]:
        loss = self.loss_sum.compute() / self.counted.compute()
        self.loss_sum.reset()
        self.counted.reset()
        return {f"{stage}/loss": loss, **super().results(stage)}

    def noise(self, examples: int, draw: torch.Generator) -> Tensor:
        facts = self.known()
        shape = (examples, facts.channels, facts.image_size, facts.image_size)
        return torch.randn(shape, generator=draw)

    def make(self, noise: Tensor) -> Tensor:
        """Generates images by DDIM with eta 0: the same noise gives the same image."""
        times = self._times()
        x: Tensor = noise
        for time, next_time in zip(times, [*times[1:], None], strict=True):
            kept = self.kept[time]
            found = self.model(x, torch.full((len(x),), time, device=x.device))
            # Images are in -1 to 1, but early predictions are far outside.
            image: Tensor = ((x - (1 - kept).sqrt() * found) / kept.sqrt()).clamp(-1, 1)
            if next_time is None:
                return image
            found = (x - kept.sqrt() * image) / (1 - kept).sqrt()
            then = self.kept[next_time]
            x = then.sqrt() * image + (1 - then).sqrt() * found
        return x

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        facts = self.known()
        kept = [(time, float(self.kept[time])) for time in self._times()]
        return noise_usage(
            (facts.channels, facts.image_size, facts.image_size),
            f"""    steps = {kept}
    for i, (time, kept) in enumerate(steps):  # DDIM; kept: the share of the image's variance
        (found,) = model(images=x, times=np.array([time]))
        image = ((x - (1 - kept) ** 0.5 * found) / kept**0.5).clip(-1, 1)
        if i + 1 < len(steps):
            found = (x - kept**0.5 * image) / (1 - kept) ** 0.5
            kept = steps[i + 1][1]
            x = kept**0.5 * image + (1 - kept) ** 0.5 * found
""",
        )

    def _times(self) -> list[int]:
        """The times of the denoising steps, starting from noise."""
        return torch.linspace(self.noise_steps - 1, 0, self.sampling_steps).round().long().tolist()

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        times = torch.randint(self.noise_steps, (examples,), generator=draw)
        return {"images": self.noise(examples, draw), "times": times}


def cosine(steps: int) -> Tensor:
    """The remaining fraction of the image's variance at each time: `(steps,)`."""
    ends = torch.arange(steps + 1, dtype=torch.float64) / steps
    left = ((ends + 0.008) / 1.008 * math.pi / 2).cos().square()
    each = (1 - left[1:] / left[:-1]).clamp(max=0.999)
    return (1 - each).cumprod(0).float()
