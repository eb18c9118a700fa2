"""What the project costs over bare PyTorch: python scripts/benchmark.py [PART] [key=value ...]

Parts, all by default. Each runs the project and the loops of scripts/bare_loops.py in turns:
  startup      train.py --cfg job, and the time from a process's start to its first training step
  multirun     what a job of `-m` takes beyond its training
  search       what a trial of a search costs beyond its training
  step         the fixed cost of a training step: metrics, bar, csv, checkpoints and schedule on
  data         augmented images per second, 32x32, against torchvision one image at a time
  train        the CNN on 32x32 images end to end, images per second
  gpt          nanoGPT's CPU setting end to end, tokens per second, against nanoGPT's own loop
  checkpoint   how long a save of 25M parameters with AdamW's state stops training
  determinism  what order and randomness that resume exactly cost a step of a few milliseconds
  multi        two processes training the ViT together (gloo), against twice the speed of one
  streams      mapped tokens, text and tar shards against the same data in memory

Keys: runs (rounds of each part, default 7), steps (of a block; default: each part's own), data (a
folder of 32x32 images for data and train; default: synthetic), output (a JSON file of the raw
samples; default: a new one in runs/).

Nothing here fails for being slow. Measure on a machine that does nothing else.
"""

import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from arclight.config.arguments import arguments
from arclight.config.check import did_you_mean
from arclight.config.entry import plain_errors
from arclight.errors import UserError
from arclight.files import read_json
from arclight.report.benchmark import Row, one_thread, process, table, terminal, timed, write

if TYPE_CHECKING:  # torch is imported where it is used: `startup` must be a small process
    from lightning import Trainer
    from torch import Tensor, nn

PROJECT = Path(__file__).parents[1]
BATCH = 128
AUGMENTED = ("data.augment.crop=4", "data.augment.flip=true", f"data.batch_size={BATCH}")


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, and a folder to work in."""

    folder: Path
    runs: int
    steps: int | None
    data: str | None


def main() -> None:
    words = [word for word in sys.argv[1:2] if "=" not in word and not word.startswith("-")]
    part = words[0] if words else "all"
    if part not in [*PARTS, "all"]:
        raise UserError(f"{part} is not a part{did_you_mean(part, [*PARTS, 'all'])}")
    del sys.argv[1 : 1 + len(words)]
    given = arguments(__doc__, optional=("runs", "steps", "data", "output"))
    sys.argv[1:1] = words  # the JSON file names the command
    for key in ("runs", "steps"):
        if not given.get(key, "1").isdigit() or given.get(key) == "0":
            raise UserError(f"{key}={given[key]} should be a whole number of 1 or more.")
    runs, steps = int(given.get("runs", 7)), int(given.get("steps", 0)) or None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    output = Path(given.get("output", f"runs/benchmark-{part}-{stamp}.json"))
    rows: list[Row] = []
    for name in PARTS if part == "all" else [part]:
        with tempfile.TemporaryDirectory() as folder:
            new = PARTS[name](Asked(Path(folder), runs, steps, given.get("data")))
        rows += new
        print(f"\n{name}\n{table(new)}", flush=True)
        write(rows, output)
    print(f"\nThe samples are in {output}.")


# ------------------------------------------------------------------------------------- processes


def startup(asked: Asked) -> list[Row]:
    """Processes in turns. The first of each is not counted: it compiles and reads from the disk.

    This runs before anything heavy is imported here, since Linux counts the memory of the process
    that starts another towards the other's peak.

    The first step's time is taken from outside, of the real `train.py` with its default config: its
    metrics.csv gets a first row when the first step is done. (By default it does after the 50th;
    `log_every_n_steps=1` is the only difference.) The bare script writes a file at that point.
    """
    train, bare = PROJECT / "train.py", PROJECT / "scripts" / "bare_loops.py"
    samples = []
    for i in range(asked.runs + 1):
        run, done = asked.folder / f"run{i}", asked.folder / f"bare{i}"
        words = [f"run_dir={run}", "trainer.log_every_n_steps=1"]
        samples.append(
            process(PROJECT, str(train), "--cfg", "job")[1:]
            + process(PROJECT, str(train), *words, until=run / "metrics.csv")[:1]
            + process(PROJECT, str(bare), str(done), until=done)[:2]
        )
    answer, peak, first, bare_first, bare_all = (list(s) for s in zip(*samples[1:], strict=True))
    return [
        Row("--cfg job", "s", answer, [], "project", 0.5),
        Row("--cfg job, peak memory", "MB", peak, [], "project", 60),
        Row("--cfg job / a whole bare run of one step", "s", answer, bare_all, "ratio", 0.12),
        Row("start to first step", "s", first, bare_first, "ratio", 1.30),
    ]


def multirun(asked: Asked) -> list[Row]:
    """Jobs of one epoch on the digits, in one process; the first, which imports, is not counted.

    A job lasts from the last word of the one before it to its own: composing, the directory, the
    data, the model, the test, the pictures, and what Hydra does between two jobs.
    """
    folder = asked.folder / "multirun"
    words = [f"seed=range(0,{asked.runs + 1})", "trainer.max_epochs=1", f"hydra.sweep.dir={folder}"]
    process(PROJECT, str(PROJECT / "train.py"), "-m", *words)
    files = [folder / str(i) / "summary.json" for i in range(asked.runs + 1)]
    ends = [file.stat().st_mtime for file in files]
    training = [read_json(file)["training_seconds"] for file in files]
    beyond = [
        end - before - trained
        for before, end, trained in zip(ends, ends[1:], training[1:], strict=False)
    ]
    return [Row("a job of a multirun beyond its training", "s", beyond, [], "project", 0.4)]


def search(asked: Asked) -> list[Row]:
    """The trials of a search, one at a time, in processes forked from the search's own."""
    folder, trials = asked.folder / "search", asked.runs + 1
    words = [f"search.dir={folder}", f"search.n_trials={trials}", "search.workers=1"]
    process(PROJECT, str(PROJECT / "train.py"), "search=digits_cnn", "logger=csv", *words)
    import optuna

    study = optuna.load_study(study_name="digits_cnn", storage=f"sqlite:///{folder}/study.db")
    start, beyond = [], []
    for trial in study.get_trials()[1:]:
        summary = read_json(folder / trial.user_attrs["runs"][0] / "summary.json")
        assert trial.datetime_complete
        assert trial.datetime_start
        whole = (trial.datetime_complete - trial.datetime_start).total_seconds()
        start.append(whole - summary["seconds"] + summary["startup_seconds"])
        beyond.append(whole - summary["training_seconds"])
    return [
        Row("a trial's start, from its proposal to its training", "s", start, [], "project", 0.5),
        Row("a trial beyond its training: start, test, plots", "s", beyond, [], "project"),
    ]


# ------------------------------------------------------- the project's own parts, on given images


def project(
    asked: Asked, images: "Tensor", labels: "Tensor", model: "nn.Module | None", *overrides: str
) -> tuple[Any, "Trainer", Any]:
    """Task, trainer with all callbacks, and data, made from a config as `arclight.run.fit` does.

    Args:
        images: uint8 `(n, channels, size, size)`, all for training: the place of the config's data.
        labels: `(n,)`.
        model: takes the place of the config's.
    """
    import numpy as np
    from bare_loops import MEAN, STD
    from hydra import compose, initialize_config_dir

    from arclight.config.build import build
    from arclight.config.freeze import freeze
    from arclight.data.decode import Shape
    from arclight.data.digits import DigitsSplit
    from arclight.data.facts import ImageFacts
    from arclight.data.parts import Part
    from arclight.run.directory import create
    from arclight.run.fit import _assemble, build_task
    from arclight.training.loggers import MetricsFile

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
    run = create(None, asked.folder, "benchmark", config, [], {})
    return task, _assemble(run, config, [MetricsFile(run.metrics_file)]), data


def rounds(*between: Callable[[], object]) -> Any:
    """A callback that cuts a fit into blocks of one epoch, and runs other loops between them.

    So the project and its rivals take turns in one process. `own` and `theirs` are seconds without
    the first block, which warms up. An epoch includes its checkpoint.
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

    from arclight.data.image import ImageData

    if folder is None:
        return synthetic(50_000, 3, 32)
    data = ImageData(folder, image_size=32, channels=3, loader="memory")
    data.setup()
    part = data.parts["train"]
    return part.images(), torch.from_numpy(part.split.labels[part.rows])


# ------------------------------------------------------------------------------ the other parts


def step(asked: Asked) -> list[Row]:
    """A model so small that what is left is the loop; both sides read the project's own loader."""
    from bare_loops import MLP, train
    from torch.optim import AdamW

    steps = asked.steps or 1000
    images, labels = synthetic(steps * 32, 1, 8)
    length = f"trainer.max_epochs={asked.runs + 1}"
    overrides = ["data.batch_size=32", length]
    task, trainer, data = project(asked, images, labels, MLP(), *overrides)
    loader = project(asked, images, labels, None, *overrides)[2].train_dataloader()

    def rival(fused: bool) -> Callable[[], object]:
        model = copy.deepcopy(task.model)
        optimizer = AdamW(model.parameters(), fused=fused)
        return lambda: train(model, loader, optimizer)

    trainer.callbacks.append(taken := rounds(rival(fused=False), rival(fused=True)))
    with terminal(), one_thread():
        trainer.fit(task, datamodule=data)
    own, stock, fused = ([s / steps * 1000 for s in x] for x in (taken.own, *taken.theirs))
    return [
        Row("a step over a loop with AdamW", "ms", own, stock, "difference", 0.45),
        Row("a step over a loop with fused AdamW", "ms", own, fused, "difference", 0.60),
    ]


def data(asked: Asked) -> list[Row]:
    """Batches that nobody trains on; the rival's blocks are a tenth as long as the project's."""
    from bare_loops import endless, tutorial_batches

    images, labels = cifar_size(asked.data)
    steps = asked.steps or 390
    ours = endless(project(asked, images, labels, None, *AUGMENTED)[2].train_dataloader())
    theirs = tutorial_batches(images, labels, BATCH)

    def speed(batches: Iterator[Any], count: int) -> float:
        return count * BATCH / timed(lambda: [next(batches) for _ in range(count)])

    pairs = [(speed(theirs, steps // 10 + 1), speed(ours, steps)) for _ in range(asked.runs + 1)]
    slow, fast = (list(samples) for samples in zip(*pairs[1:], strict=True))
    return [Row("augmented batches", "images/s", fast, slow, "ratio", 10, at_least=True)]


def train(asked: Asked) -> list[Row]:
    """Everything on, against a loop with one-by-one transforms and AdamW as it comes."""
    from bare_loops import train as bare
    from bare_loops import tutorial_batches
    from torch.optim import AdamW

    steps = asked.steps or 40
    images, labels = cifar_size(asked.data)
    length = (f"trainer.max_epochs={asked.runs + 1}", f"trainer.limit_train_batches={steps}")
    task, trainer, module = project(asked, images, labels, None, *AUGMENTED, *length)
    model = copy.deepcopy(task.model)
    optimizer = AdamW(model.parameters())
    theirs = tutorial_batches(images, labels, BATCH)
    trainer.callbacks.append(taken := rounds(lambda: bare(model, islice(theirs, steps), optimizer)))
    with terminal():
        trainer.fit(task, datamodule=module)
    fast, slow = ([steps * BATCH / s for s in x] for x in (taken.own, taken.theirs[0]))
    return [Row("the CNN end to end", "images/s", fast, slow, "ratio", 1.3, at_least=True)]


def gpt(asked: Asked) -> list[Row]:
    """Four layers of width 128, batches of 12 times 64 characters; both sides read one text.

    The text is the source of Python's standard library, in as many characters as Shakespeare's.
    """
    import torch
    from bare_gpt import GPT, batches, make_optimizer
    from bare_gpt import train as bare
    from hydra import compose, initialize_config_dir

    from arclight.config.freeze import freeze
    from arclight.data.text.stdlib import modules
    from arclight.run.directory import create
    from arclight.run.fit import _assemble, build_parts
    from arclight.training.loggers import MetricsFile

    steps = asked.steps or 100
    text = asked.folder / "text.txt"
    text.write_text("".join(modules().values())[:1_115_394])
    words = ["experiment=gpt_shakespeare", f"data.path={text}", "trainer.limit_val_batches=0"]
    words += ["trainer.max_steps=-1", f"trainer.max_epochs={asked.runs + 1}"]
    words += [f"trainer.limit_train_batches={steps}", "trainer.val_check_interval=1.0"]
    words += ["trainer.check_val_every_n_epoch=1"]
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        config = freeze(compose("train", overrides=["name=benchmark", *words]))
    run = create(None, asked.folder, "benchmark", config, [], {})
    parts = build_parts(config, run.path)
    trainer = _assemble(run, config, [MetricsFile(run.metrics_file)])
    torch.manual_seed(0)
    model = GPT(parts.data.facts.for_model()["vocab_size"])
    optimizer = make_optimizer(model)
    source = batches(parts.data.streams["train"])  # type: ignore[attr-defined]
    rival = lambda: bare(model, islice(source, steps), optimizer)  # noqa: E731
    trainer.callbacks.append(taken := rounds(rival))  # type: ignore[attr-defined]
    with terminal():
        trainer.fit(parts.task, datamodule=parts.data)
    tokens = steps * 12 * 64
    fast, slow = ([tokens / s for s in x] for x in (taken.own, taken.theirs[0]))
    return [Row("GPT on characters end to end", "tokens/s", fast, slow, "ratio", 1.0, True)]


def checkpoint(asked: Asked) -> list[Row]:
    """Three ways to save one state of 300 MB; each waits for the disk before the next begins."""
    from bare_loops import MLP, stock_trainer

    from arclight.training.checkpoints import Checkpoints

    images, labels = synthetic(32, 1, 8)
    model = MLP(d_hidden=2048, n_hidden=7)
    overrides = ["data.batch_size=32", "trainer.max_epochs=1"]
    task, trainer, module = project(asked, images, labels, model, *overrides)
    rival = stock_trainer(copy.deepcopy(model), (images.float(), labels))
    trainer.fit(task, datamodule=module)
    files = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))
    disk: Any = trainer.strategy.checkpoint_io

    def seconds(save: Callable[[], object], asynchronous: bool = False) -> float:
        disk.asynchronous = asynchronous
        taken = timed(save)
        disk.teardown()  # waits for the thread
        os.sync()
        return taken

    def one_round() -> tuple[float, float, float]:
        stock = seconds(lambda: rival.save_checkpoint(asked.folder / "stock.ckpt"))
        waiting = seconds(lambda: files.save(trainer))
        return stock, waiting, seconds(lambda: files.save(trainer), asynchronous=True)

    taken = [one_round() for _ in range(asked.runs + 1)]
    stock, waiting, going_on = (list(samples) for samples in zip(*taken[1:], strict=True))
    return [
        Row("a save / Lightning's own", "s", waiting, stock),
        Row("an asynchronous save / Lightning's own", "s", going_on, stock),
    ]


def determinism(asked: Asked) -> list[Row]:
    """One fit whose epochs alternate: order, augmentation and steps seeded, or drawn by torch."""
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

    steps = asked.steps or 200
    images, labels = synthetic(steps * BATCH, 3, 32)
    length = f"trainer.max_epochs={2 * asked.runs + 1}"
    model = MLP(3 * 32 * 32)
    task, trainer, module = project(asked, images, labels, model, *AUGMENTED, length)
    loader = module.train_dataloader()
    either = Either(loader.images, loader.labels, loader.batches, loader.finish)
    module.train_dataloader = lambda: either
    seeds = [c for c in trainer.callbacks if isinstance(c, StepSeeds)]
    others = [c for c in trainer.callbacks if not isinstance(c, StepSeeds)]

    def switch() -> None:
        either.seeded = trainer.current_epoch % 2 == 0
        trainer.callbacks = [*(seeds if either.seeded else []), *others, taken]

    trainer.callbacks.append(taken := rounds(switch))
    with one_thread():
        trainer.fit(task, datamodule=module)
    times = [s / steps * 1000 for s in taken.own]
    return [Row("a step that resumes exactly", "ms", times[1::2], times[0::2], "ratio", 1.03)]


def multi(asked: Asked) -> list[Row]:
    """Whole runs in turns: one process on one core, and two on two, each with half of the batch.

    So a process has the same work either way, and without any cost of working together two would
    be twice as fast. Speeds are the run's own, from its metrics.csv, without the first rows.
    """
    steps, share = asked.steps or 40, 64
    words = ["model=vit", "data=digits_32", "trainer.limit_val_batches=0", "logger=csv"]
    words += ["trainer.limit_test_batches=1", "trainer.log_every_n_steps=2"]
    words += ["trainer.max_epochs=null", f"trainer.max_steps={steps}"]

    def speed(name: str, processes: int) -> float:
        from arclight.training.loggers import read_metrics

        run = asked.folder / name
        trainer = "cpu" if processes == 1 else "ddp_cpu"
        size = f"data.batch_size={share * processes}"
        chosen = [f"run_dir={run}", f"trainer={trainer}", size, *words]
        process(PROJECT, str(PROJECT / "train.py"), *chosen)
        rows = read_metrics(run / "metrics.csv")
        return median(float(v) for r in rows[2:] if (v := r.get("examples_per_second")))

    with one_thread_each():
        pairs = [(2 * speed(f"one{i}", 1), speed(f"two{i}", 2)) for i in range(asked.runs)]
    ideal, found = (list(samples) for samples in zip(*pairs, strict=True))
    return [Row("two processes / ideal", "images/s", found, ideal, "ratio", 0.85, at_least=True)]


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started here compute in one thread, as one core each has room for."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def streams(asked: Asked) -> list[Row]:
    """Whole epochs of loaders that nobody trains on, each in turn; a new epoch starts from nothing.

    What was written a moment ago is in the system's page cache: this is what the code costs, not
    the disk. Images are decoded by two processes in every form but memory.
    """
    import numpy as np
    from made_sets import images, texts

    from arclight.data.image import ImageData
    from arclight.data.text.shards import BlockLoader, TextShards
    from arclight.data.text.stream import TextStream

    def speeds(loaders: dict[str, Any]) -> dict[str, list[float]]:
        """Samples a second of each loader; the first round, in which workers start, not counted."""
        found: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(asked.runs + 1):
            for name, loader in loaders.items():
                if isinstance(loader, BlockLoader):
                    loader.encoded.clear()
                count = 0
                began = time.perf_counter()
                for x, _ in loader:
                    count += x.numel() if x.ndim == 2 else len(x)
                found[name].append(count / (time.perf_counter() - began))
        return {name: samples[1:] for name, samples in found.items()}

    cache = str(asked.folder / "cache")
    file, shards = texts(asked.folder / "texts", 3_000_000)
    how: Any = {"context": 256, "vocab_size": 1024, "val_fraction": 0.02, "test_fraction": 0}
    mapped, memory = (TextStream(str(file), **how, cache=cache) for _ in range(2))
    coded = TextShards(str(shards), **how, block_mb=0.05, shuffle_window=1, cache=cache)
    for text in (mapped, memory, coded):
        text.setup()
    memory.streams = {name: np.array(tokens) for name, tokens in memory.streams.items()}
    sides = {"mapped": mapped, "memory": memory, "coded": coded}
    tokens = speeds({name: text.train_dataloader() for name, text in sides.items()})
    folders, tars, tables = images(asked.folder / "images", 256, 256)
    shown: Any = {"val_fraction": 0, "test_fraction": 0, "image_size": 224, "channels": 3}
    shown |= {"mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 32, "cache": cache}
    workers: Any = {**shown, "loader": "workers", "num_workers": 2}
    sets = {
        "tar": ImageData(str(tars), **workers, shuffle_window=2),
        "folders": ImageData(str(folders), **workers),
        "parquet": ImageData(str(tables), "image", "label", **workers),
        "memory": ImageData(str(folders), **shown, loader="memory"),
    }
    for made in sets.values():
        made.setup()
    loaders = {name: made.train_dataloader() for name, made in sets.items()}
    seen = speeds(loaders)
    for loader in loaders.values():
        if hasattr(loader, "close"):
            loader.close()
    return [
        Row("mapped tokens / tokens in memory", "tokens/s", tokens["mapped"], tokens["memory"]),
        Row(
            "shards encoded meanwhile / tokens in memory",
            "tokens/s",
            tokens["coded"],
            tokens["memory"],
        ),
        Row("tar shards / class folders", "images/s", seen["tar"], seen["folders"]),
        Row("tar shards / parquet", "images/s", seen["tar"], seen["parquet"]),
        Row("tar shards / decoded in memory", "images/s", seen["tar"], seen["memory"]),
    ]


PARTS: dict[str, Callable[[Asked], list[Row]]] = {
    "startup": startup,
    "multirun": multirun,
    "search": search,
    "step": step,
    "data": data,
    "train": train,
    "gpt": gpt,
    "checkpoint": checkpoint,
    "determinism": determinism,
    "multi": multi,
    "streams": streams,
}


if __name__ == "__main__":
    with plain_errors():
        main()
