"""What the project costs over bare PyTorch: python scripts/benchmark.py [PART] [key=value ...]

Parts, all by default. Each runs the project and the loops of scripts/bare_loops.py in turns:
  startup      train.py --cfg job, and the time from a process's start to its first training step
  step         the fixed cost of a training step: metrics, bar, csv, checkpoints and schedule on
  data         augmented images per second, 32x32, against torchvision one image at a time
  train        the CNN on 32x32 images end to end, images per second
  checkpoint   how long a save of 25M parameters with AdamW's state stops training
  determinism  what an order and randomness that can be resumed exactly cost on a step of a few ms

Keys: runs (rounds of each part, default 7), steps (of a block; default: each part's own), data (a
folder of 32x32 images for data and train; default: synthetic), output (a JSON file of the raw
samples; default: a new one in runs/).

Nothing here fails for being slow. Measure on a machine that does nothing else.
"""

import copy
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from arclight.config.arguments import arguments
from arclight.config.check import did_you_mean
from arclight.config.entry import plain_errors
from arclight.errors import UserError
from arclight.report.benchmark import Row, table, write

if TYPE_CHECKING:  # torch is imported where it is used: `startup` must be a small process
    from lightning import Trainer
    from torch import Tensor, nn

    from arclight.tasks.task import Task

PROJECT = Path(__file__).parents[1]
CONFIGS = PROJECT / "configs"
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]  # of CIFAR-10
SMOOTHING, CLIP = 0.1, 1.0  # the default config's, given to the bare loops
BATCH = 128


def main() -> None:
    words = [word for word in sys.argv[1:2] if "=" not in word and not word.startswith("-")]
    del sys.argv[1 : 1 + len(words)]
    given = arguments(__doc__, optional=("runs", "steps", "data", "output"))
    part = words[0] if words else "all"
    if part not in [*PARTS, "all"]:
        raise UserError(f"{part} is not a part{did_you_mean(part, [*PARTS, 'all'])}")
    for key in ("runs", "steps"):
        if not given.get(key, "1").isdigit():
            raise UserError(f"{key}={given[key]} should be a whole number of 1 or more.")
    runs = int(given.get("runs", 7))
    steps = int(given["steps"]) if "steps" in given else None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    output = Path(given.get("output", f"runs/benchmark-{part}-{stamp}.json"))
    sys.argv[1:1] = words  # the JSON file names the command
    rows: list[Row] = []
    for name in PARTS if part == "all" else [part]:
        with tempfile.TemporaryDirectory() as folder:
            new = PARTS[name](Path(folder), runs, steps, given.get("data"))
        rows += new
        print(f"\n{name}\n{table(new)}", flush=True)
        write(rows, output)
    print(f"\nThe samples are in {output}.")


# ------------------------------------------------------------------------------------- startup


def startup(folder: Path, runs: int, steps: int | None, data: str | None) -> list[Row]:
    """Processes in turns. The first of each is not counted: it compiles and reads from the disk.

    This runs before anything heavy is imported here, since Linux counts the memory of the process
    that starts another towards the other's peak.
    """
    python, train, bare = sys.executable, str(PROJECT / "train.py"), PROJECT / "scripts"
    config, whole, project, rival = [], [], [], []
    for i in range(-1, runs):
        found = process([python, train, "--cfg", "job"])
        # The default run, unchanged but for writing metrics.csv after the first step, not the 50th:
        # the time that the file gets its first row is the time of the first step.
        run, done = folder / f"run{i}", folder / f"bare{i}"
        overrides = [f"run_dir={run}", "trainer.log_every_n_steps=1"]
        ours, _, _ = process([python, train, *overrides], until=run / "metrics.csv")
        theirs, seconds, _ = process([python, str(bare / "bare_loops.py"), str(done)], until=done)
        if i >= 0:
            config.append(found)
            whole.append(seconds)
            project.append(ours)
            rival.append(theirs)
    answers = [seconds for _, seconds, _ in config]
    peaks = [megabytes for _, _, megabytes in config]
    return [
        Row("--cfg job", "s", answers, [], "project", 0.5),
        Row("--cfg job, peak memory", "MB", peaks, [], "project", 60),
        Row("--cfg job / a bare run of one step", "s", answers, whole, "ratio", 0.12),
        Row("start to first step", "s", project, rival, "ratio", 1.30),
    ]


def process(command: list[str], until: Path | None = None) -> tuple[float, float, float]:
    """Seconds till `until` has content, seconds to the end, and peak resident megabytes.

    A process that goes on after `until` is told to stop.
    """
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=errors, cwd=PROJECT
        )
        reached = 0.0
        while until and not reached:
            if until.is_file() and until.stat().st_size:
                reached = time.perf_counter() - began
                child.terminate()
            elif child.poll() is not None:
                errors.seek(0)
                raise UserError(f"{command} failed: {errors.read().decode()[-500:]}")
            else:
                time.sleep(0.002)
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0  # it has been waited for
    return reached, time.perf_counter() - began, usage.ru_maxrss / 1024


# ------------------------------------------------------- the project's own parts, on given arrays


def project(
    folder: Path, images: "Tensor", labels: "Tensor", model: "nn.Module | None", *overrides: str
) -> tuple["Task", "Trainer", Any]:
    """Task, trainer with all callbacks, and data, as `arclight.run.fit` makes them from a config.

    Args:
        images: uint8 `(n, channels, size, size)`, all for training; labels: `(n,)`.
        model: takes the place of the config's.
    """
    from hydra import compose, initialize_config_dir

    from arclight.config.freeze import freeze
    from arclight.data.augment import Augment
    from arclight.run.directory import create
    from arclight.run.fit import _assemble, build_task
    from arclight.training.loggers import MetricsFile

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = freeze(compose("train", overrides=["name=benchmark", *overrides]))
    config["data"].pop("_target_")
    settings = {k: v for k, v in config["data"].items() if k not in ("path", "augment")}
    augment = {k: v for k, v in config["data"]["augment"].items() if k != "_target_"}
    data = array_data()(images, labels, augment=Augment(**augment), **settings)
    data.setup()
    task = build_task(config, data.facts)
    task.model = model or task.model
    run = create(None, folder, "benchmark", config, [], {})
    return task, _assemble(run, config, [MetricsFile(run.metrics_file)]), data


def array_data() -> Any:
    """The project's data module with arrays in the place of files."""
    import numpy as np

    from arclight.data.decode import Shape
    from arclight.data.digits import DigitsSplit
    from arclight.data.facts import ImageFacts
    from arclight.data.image import ImageData
    from arclight.data.parts import Part

    class ArrayData(ImageData):
        def __init__(self, images: "Tensor", labels: "Tensor", **settings: Any) -> None:
            super().__init__("arrays", **settings)
            self.arrays = images, labels

        def setup(self, stage: str | None = None) -> None:
            images, labels = self.arrays
            n, channels, size, _ = images.shape
            split = DigitsSplit("train", images.numpy(), labels.numpy(), "")
            self.parts = {"train": Part(split, np.arange(n), Shape(channels, size), images)}
            names = [str(i) for i in range(10)]
            sizes = {"train": n, "val": 0, "test": 0}
            mean, std = MEAN[:channels], STD[:channels]
            self.facts = ImageFacts(10, names, size, channels, mean, std, sizes, "")

    return ArrayData


def rounds(rivals: Iterable[Callable[[], object]]) -> Any:
    """A callback that takes the time of every epoch, and runs and times the rivals between them.

    So one fit is cut into blocks that alternate with the rivals': rivals, epoch, rivals, epoch. The
    first of each warms up and is not kept. `own` and `theirs` are seconds; an epoch's ends with its
    checkpoint.
    """
    from lightning.pytorch.callbacks import Callback

    class Rounds(Callback):
        def __init__(self) -> None:
            self.rivals = list(rivals)
            self.own: list[float] = []
            self.theirs: list[list[float]] = [[] for _ in self.rivals]
            self.began = 0.0

        def on_train_epoch_start(self, trainer: "Trainer", *_: Any) -> None:
            self._end(trainer, trainer.current_epoch - 1)
            for rival, samples in zip(self.rivals, self.theirs, strict=True):
                seconds = timed(rival)
                if trainer.current_epoch:
                    samples.append(seconds)
            self.began = time.perf_counter()

        def on_train_end(self, trainer: "Trainer", *_: Any) -> None:
            self._end(trainer, trainer.current_epoch - 1)

        def _end(self, trainer: "Trainer", epoch: int) -> None:
            if epoch > 0:
                self.own.append(time.perf_counter() - self.began)

    return Rounds()


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def terminal() -> Iterator[None]:
    """A terminal in the place of stderr, with a thread that reads it, so that the bar is drawn."""
    master, slave = pty.openpty()

    def read() -> None:
        with suppress(OSError):
            while os.read(master, 4096):
                pass

    Thread(target=read, daemon=True).start()
    before, sys.stderr = sys.stderr, os.fdopen(slave, "w")
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before


def random_images(n: int, channels: int, size: int) -> tuple["Tensor", "Tensor"]:
    import torch

    torch.manual_seed(0)
    images = torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8)
    return images, torch.randint(0, 10, (n,))


def cifar_size(data: str | None) -> tuple["Tensor", "Tensor"]:
    """50,000 synthetic 32x32 images, or those of a folder."""
    import torch

    from arclight.data.image import ImageData

    if data is None:
        return random_images(50_000, 3, 32)
    real = ImageData(data, image_size=32, channels=3, loader="memory")
    real.setup()
    part = real.parts["train"]
    return part.images(), torch.from_numpy(part.split.labels[part.rows])


# ----------------------------------------------------------------------------- the other parts


def step(folder: Path, runs: int, steps: int | None, data: str | None) -> list[Row]:
    """A model so small that what is left is the loop; both sides read the project's own loader."""
    import torch
    from bare_loops import MLP, train
    from torch.optim import AdamW

    torch.set_num_threads(1)  # several would only wait for each other
    steps = steps or 1000
    images, labels = random_images(steps * 32, 1, 8)
    overrides = ["data.batch_size=32", f"trainer.max_epochs={runs + 1}"]
    task, trainer, ours = project(folder, images, labels, MLP(), *overrides)
    _, _, alone = project(folder, images, labels, MLP(), *overrides)
    loader = alone.train_dataloader()

    def rival(fused: bool) -> Callable[[], object]:
        model = copy.deepcopy(task.model)
        optimizer = AdamW(model.parameters(), fused=fused)
        return lambda: train(model, loader, optimizer, SMOOTHING, CLIP)

    measured = rounds([rival(fused=False), rival(fused=True)])
    trainer.callbacks.append(measured)
    with terminal():
        trainer.fit(task, datamodule=ours)
    own, stock, fused = ([s / steps * 1000 for s in x] for x in (measured.own, *measured.theirs))
    return [
        Row("over a loop with AdamW", "ms", own, stock, "difference", 0.45),
        Row("over a loop with fused AdamW", "ms", own, fused, "difference", 0.60),
    ]


def data(folder: Path, runs: int, steps: int | None, data: str | None) -> list[Row]:
    """Batches that nobody trains on; the rival's blocks are a tenth as long as the project's."""
    from bare_loops import OneByOne, endless
    from torch.utils.data import DataLoader

    images, labels = cifar_size(data)
    steps = min(steps or 390, len(images) // BATCH)
    overrides = ("data.augment.crop=4", "data.augment.flip=true", f"data.batch_size={BATCH}")
    _, _, module = project(folder, images, labels, None, *overrides)
    ours = endless(module.train_dataloader())
    pictures = OneByOne(images, labels, MEAN, STD)
    theirs = endless(DataLoader(pictures, BATCH, shuffle=True, drop_last=True))

    def speed(batches: Iterator[Any], count: int) -> float:
        return count * BATCH / timed(lambda: [next(batches) for _ in range(count)])

    fast, slow = [], []
    for _ in range(runs + 1):
        slow.append(speed(theirs, max(1, steps // 10)))
        fast.append(speed(ours, steps))
    return [Row("augmented batches", "images/s", fast[1:], slow[1:], "ratio", 10, at_least=True)]


def train(folder: Path, runs: int, steps: int | None, data: str | None) -> list[Row]:
    """Everything on, against a loop with one-by-one transforms and AdamW as it comes."""
    from itertools import islice

    from bare_loops import OneByOne, endless
    from bare_loops import train as bare
    from torch.optim import AdamW
    from torch.utils.data import DataLoader

    steps = steps or 40
    images, labels = cifar_size(data)
    task, trainer, ours = project(
        folder,
        images,
        labels,
        None,
        "data.augment.crop=4",
        "data.augment.flip=true",
        f"data.batch_size={BATCH}",
        f"trainer.max_epochs={runs + 1}",
        f"trainer.limit_train_batches={steps}",
    )
    model = copy.deepcopy(task.model)
    optimizer = AdamW(model.parameters())
    pictures = OneByOne(images, labels, MEAN, STD)
    theirs = endless(DataLoader(pictures, BATCH, shuffle=True, drop_last=True))
    measured = rounds([lambda: bare(model, islice(theirs, steps), optimizer, SMOOTHING, CLIP)])
    trainer.callbacks.append(measured)
    with terminal():
        trainer.fit(task, datamodule=ours)
    fast, slow = ([steps * BATCH / s for s in x] for x in (measured.own, measured.theirs[0]))
    return [Row("CNN end to end", "images/s", fast, slow, "ratio", 1.3, at_least=True)]


def checkpoint(folder: Path, runs: int, steps: int | None, data: str | None) -> list[Row]:
    """Three ways to save one state of 300 MB; each waits for the disk before the next begins."""
    from bare_loops import MLP, stock_trainer

    from arclight.training.checkpoints import Checkpoints

    images, labels = random_images(32, 1, 8)
    model = MLP(d_hidden=2048, n_hidden=7)
    rival = stock_trainer(copy.deepcopy(model), (images.float(), labels))
    task, trainer, module = project(
        folder, images, labels, model, "data.batch_size=32", "trainer.max_epochs=1"
    )
    trainer.fit(task, datamodule=module)
    files = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))
    disk = trainer.strategy.checkpoint_io

    def save(asynchronous: bool) -> float:
        disk.asynchronous = asynchronous  # type: ignore[attr-defined]
        seconds = timed(lambda: files.save(trainer))
        disk.teardown()  # waits for the thread
        os.sync()
        return seconds

    def stock() -> float:
        seconds = timed(lambda: rival.save_checkpoint(folder / "stock.ckpt"))
        os.sync()
        return seconds

    taken = [(stock(), save(asynchronous=False), save(asynchronous=True)) for _ in range(runs + 1)]
    bare, waiting, going_on = (list(samples) for samples in zip(*taken[1:], strict=True))
    return [
        Row("a save / Lightning's own", "s", waiting, bare),
        Row("an asynchronous save / Lightning's own", "s", going_on, bare),
    ]


def determinism(folder: Path, runs: int, steps: int | None, data: str | None) -> list[Row]:
    """One fit whose epochs alternate: seeded order, augmentation and steps, or torch's own."""
    import torch
    from bare_loops import MLP

    from arclight.data.memory import MemoryLoader
    from arclight.data.order import ROW
    from arclight.training.randomness import StepSeeds

    class Either(MemoryLoader):
        seeded = True

        def __iter__(self) -> Iterator[tuple["Tensor", "Tensor"]]:
            if self.seeded:
                yield from super().__iter__()
                return
            for indices in torch.randperm(len(self.labels)).split(BATCH):
                yield self._batch(indices, torch.rand(len(indices), ROW))

    steps = steps or 200
    images, labels = random_images(steps * BATCH, 3, 32)
    task, trainer, module = project(
        folder,
        images,
        labels,
        MLP(3 * 32 * 32, d_hidden=256),
        "data.augment.crop=4",
        "data.augment.flip=true",
        f"data.batch_size={BATCH}",
        f"trainer.max_epochs={2 * runs + 1}",
    )
    loader = module.train_dataloader()  # refers to nothing that the trainer replaces
    callbacks = list(trainer.callbacks)

    def switch() -> None:
        seeded = trainer.current_epoch % 2 == 0
        either.seeded = seeded
        others = [c for c in trainer.callbacks if not isinstance(c, StepSeeds)]
        trainer.callbacks = [*callbacks[:1], *others] if seeded else others

    either = Either(loader.images, loader.labels, loader.batches, loader.finish)
    module.train_dataloader = lambda: either
    measured = rounds([switch])
    trainer.callbacks.append(measured)
    trainer.fit(task, datamodule=module)
    times = [s / steps * 1000 for s in measured.own]
    return [Row("a step with exact resume", "ms", times[1::2], times[0::2], "ratio", 1.03)]


PARTS: dict[str, Callable[[Path, int, int | None, str | None], list[Row]]] = {
    "startup": startup,
    "step": step,
    "data": data,
    "train": train,
    "checkpoint": checkpoint,
    "determinism": determinism,
}


if __name__ == "__main__":
    with plain_errors():
        main()
