"""The project's parts on given images, alternating with other loops in one process."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.options import PROJECT, Options
from benchmarks.samples import timed

if TYPE_CHECKING:  # torch is imported where it is used: `startup` must be a small process
    from lightning import Trainer
    from torch import Tensor, nn

BATCH = 128
AUGMENTED = ("data.augment.crop=4", "data.augment.flip=true", f"data.batch_size={BATCH}")


def project(
    options: Options, images: "Tensor", labels: "Tensor", model: "nn.Module | None", *overrides: str
) -> tuple[Any, "Trainer", Any]:
    """Task, trainer with all callbacks, and data, built from a config as in `arclight.run.fit`.

    Args:
        images: uint8 `(n, channels, size, size)`, all for training; they replace the config's data.
        labels: `(n,)`.
        model: replaces the config's model; None: keep it.
    """
    import numpy as np
    from benchmarks.bare_loops import MEAN, STD
    from hydra import compose, initialize_config_dir

    from arclight.config.build import build
    from arclight.config.freeze import freeze
    from arclight.run.assembly import Parts, build_task
    from arclight.run.trainer import assemble
    from arclight.run_directory import create
    from arclight.training.loggers import MetricsFile
    from arclight_zoo.pixels.decode import Shape
    from arclight_zoo.pixels.digits import DigitsSplit
    from arclight_zoo.pixels.image_facts import ImageFacts
    from arclight_zoo.pixels.stage import Part

    fixed = ["name=benchmark", "trainer.limit_val_batches=0"]
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        config = freeze(compose("train", overrides=[*fixed, *overrides]))
    n, channels, size, _ = images.shape
    split = DigitsSplit("train", images.numpy(), labels.numpy(), fingerprint="")
    names, sizes = [str(i) for i in range(10)], {"train": n, "val": 0, "test": 0}
    data = build(config["data"])
    data.parts = {"train": Part(split, np.arange(n), Shape(channels, size), images)}
    data.facts = ImageFacts(
        num_classes=10,
        class_names=names,
        image_size=size,
        channels=channels,
        mean=MEAN[:channels],
        std=STD[:channels],
        sizes=sizes,
        fingerprint="",
    )
    task = build_task(config, data.facts)
    task.model = model or task.model
    run = create(None, options.folder, "benchmark", config, [], {})
    return task, assemble(run, Parts(config, data, task), [MetricsFile(run.metrics_file)]), data


def rounds(*between: Callable[[], object]) -> Any:
    """A callback that runs other loops between the epochs of a fit.

    So the project and its baselines alternate in one process. `own` and `theirs` are the seconds
    without the first epoch, which is a warm-up. An epoch includes its checkpoint.
    """
    from lightning.pytorch.callbacks import Callback

    class Rounds(Callback):
        def __init__(self) -> None:
            self.between = between
            self.own: list[float] = []
            self.theirs: list[list[float]] = [[] for _ in between]
            self.began = 0.0

        def on_train_epoch_start(self, trainer: "Trainer", *_: Any) -> None:
            self._end(trainer)
            for work, samples in zip(self.between, self.theirs, strict=True):
                seconds = timed(work)
                if trainer.current_epoch > 0:
                    samples.append(seconds)
            self.began = time.perf_counter()

        def on_train_end(self, trainer: "Trainer", *_: Any) -> None:
            self._end(trainer)

        def _end(self, trainer: "Trainer") -> None:
            if trainer.current_epoch > 1:
                self.own.append(time.perf_counter() - self.began)

    return Rounds()


def synthetic(n: int, channels: int, size: int) -> tuple["Tensor", "Tensor"]:
    import torch

    torch.manual_seed(0)
    images = torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8)
    return images, torch.randint(0, 10, (n,))


def cifar_size(folder: str | None) -> tuple["Tensor", "Tensor"]:
    """50,000 synthetic 32x32 images, or those of a folder."""
    import torch

    from arclight_zoo.pixels.image_data import ImageData

    if folder is None:
        return synthetic(50_000, 3, 32)
    data = ImageData(folder, image_size=32, channels=3, loader="memory")
    data.setup()
    part = data.parts["train"]
    return part.images(), torch.from_numpy(part.split.labels[part.rows])
