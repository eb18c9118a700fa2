"""Parts that compare the project with bare loops, alternately in one process."""

import copy
import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmarks.options import PROJECT, Options
from benchmarks.photos import photos
from benchmarks.rounds import AUGMENTED, BATCH, cifar_size, project, rounds, synthetic
from benchmarks.samples import Row, one_thread, terminal, timed

if TYPE_CHECKING:
    from torch import Tensor


def step(options: Options) -> list[Row]:
    """A tiny model, so the time is that of the loop; both sides use the project's loader."""
    from benchmarks.bare_loops import MLP, train
    from torch.optim import AdamW

    steps = options.steps or 1000
    images, labels = synthetic(steps * 32, 1, 8)
    length = f"trainer.max_epochs={options.runs + 1}"
    overrides = ["data.batch_size=32", length]
    task, trainer, data = project(options, images, labels, MLP(), *overrides)
    loader = project(options, images, labels, None, *overrides)[2].train_dataloader()

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


def data(options: Options) -> list[Row]:
    """Batches without training; the baseline's blocks are a tenth as long as the project's."""
    from benchmarks.bare_loops import endless, tutorial_batches

    images, labels = cifar_size(options.data)
    steps = options.steps or 390
    ours = endless(project(options, images, labels, None, *AUGMENTED)[2].train_dataloader())
    theirs = tutorial_batches(images, labels, BATCH)

    def speed(batches: Iterator[Any], count: int) -> float:
        return count * BATCH / timed(lambda: [next(batches) for _ in range(count)])

    pairs = [(speed(theirs, steps // 10 + 1), speed(ours, steps)) for _ in range(options.runs + 1)]
    slow, fast = (list(samples) for samples in zip(*pairs[1:], strict=True))
    row = Row("augmented batches", "images/s", fast, slow, "ratio", 10, at_least=True)
    return [row, *photos(options)]


def train(options: Options) -> list[Row]:
    """All features enabled, against a loop with one-by-one transforms and default AdamW.

    The baseline's CNN is the same, but as in a tutorial: not converted to channels_last.
    """
    from benchmarks.bare_loops import cnn, tutorial_batches
    from benchmarks.bare_loops import train as bare
    from torch.optim import AdamW

    steps = options.steps or 40
    images, labels = cifar_size(options.data)
    length = (f"trainer.max_epochs={options.runs + 1}", f"trainer.limit_train_batches={steps}")
    task, trainer, module = project(options, images, labels, None, *AUGMENTED, *length)
    model = cnn(channels=3, classes=10)
    model.load_state_dict(
        dict(zip(model.state_dict(), task.model.state_dict().values(), strict=True))
    )
    optimizer = AdamW(model.parameters())
    theirs = tutorial_batches(images, labels, BATCH)
    trainer.callbacks.append(taken := rounds(lambda: bare(model, islice(theirs, steps), optimizer)))
    with terminal():
        trainer.fit(task, datamodule=module)
    fast, slow = ([steps * BATCH / s for s in x] for x in (taken.own, taken.theirs[0]))
    return [Row("the CNN end to end", "images/s", fast, slow, "ratio", 1.3, at_least=True)]


def gpt(options: Options) -> list[Row]:
    """Four layers of width 128, batches of 12 times 64 characters; both sides read the same text.

    The text is source code of Python's standard library, as long as the Shakespeare text. A round
    is the interval between two checkpoints of the experiment, and includes one.
    """
    import torch
    from benchmarks.bare_gpt import GPT, batches, make_optimizer
    from benchmarks.bare_gpt import train as bare
    from hydra import compose, initialize_config_dir

    from arclight.config.freeze import freeze
    from arclight.run.assembly import build_parts
    from arclight.run.trainer import assemble
    from arclight.run_directory import create
    from arclight.training.loggers import MetricsFile
    from arclight_zoo.tokens.stdlib import modules

    steps = options.steps or 200
    text = options.folder / "text.txt"
    text.write_text("".join(modules().values())[:1_115_394])
    words = ["experiment=gpt_shakespeare", f"data.path={text}", "trainer.limit_val_batches=0"]
    words += ["trainer.max_steps=-1", f"trainer.max_epochs={options.runs + 1}"]
    words += [f"trainer.limit_train_batches={steps}", "trainer.val_check_interval=1.0"]
    words += ["trainer.check_val_every_n_epoch=1"]
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        config = freeze(compose("train", overrides=["name=benchmark", *words]))
    run = create(None, options.folder, "benchmark", config, [], {})
    parts = build_parts(config, run.path)
    trainer = assemble(run, parts, [MetricsFile(run.metrics_file)])
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


def checkpoint(options: Options) -> list[Row]:
    """Three ways to save a state of 300 MB; each waits for the disk before the next starts."""
    from benchmarks.bare_loops import MLP, stock_trainer

    from arclight.training.checkpoints import Checkpoints

    images, labels = synthetic(32, 1, 8)
    model = MLP(d_hidden=2048, n_hidden=7)
    overrides = ["data.batch_size=32", "trainer.max_epochs=1"]
    task, trainer, module = project(options, images, labels, model, *overrides)
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
        stock = seconds(lambda: rival.save_checkpoint(options.folder / "stock.ckpt"))
        waiting = seconds(lambda: files.save(trainer))
        return stock, waiting, seconds(lambda: files.save(trainer), asynchronous=True)

    taken = [one_round() for _ in range(options.runs + 1)]
    stock, waiting, going_on = (list(samples) for samples in zip(*taken[1:], strict=True))
    return [
        Row("a save / Lightning's own", "s", waiting, stock),
        Row("an asynchronous save / Lightning's own", "s", going_on, stock),
    ]


def determinism(options: Options) -> list[Row]:
    """One fit with alternating epochs: seeded order, augmentation and steps, or torch's own."""
    import torch
    from benchmarks.bare_loops import MLP

    from arclight.data.order import ROW
    from arclight.training.randomness import StepSeeds
    from arclight_zoo.pixels.memory import MemoryLoader

    class Either(MemoryLoader):
        seeded = True

        def __iter__(self) -> Iterator[tuple["Tensor", "Tensor"]]:
            if self.seeded:
                yield from super().__iter__()
                return
            for indices in torch.randperm(len(self.labels)).split(BATCH):
                yield self._batch(indices, torch.rand(len(indices), ROW))

    steps = options.steps or 200
    images, labels = synthetic(steps * BATCH, 3, 32)
    length = f"trainer.max_epochs={2 * options.runs + 1}"
    model = MLP(3 * 32 * 32)
    task, trainer, module = project(options, images, labels, model, *AUGMENTED, length)
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
