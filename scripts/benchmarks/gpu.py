"""The part that needs a GPU: large models in bf16, against the same step in plain PyTorch."""

import copy
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

from benchmarks.options import PROJECT, Options
from benchmarks.samples import Row, terminal, timed

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.tokens.text_facts import TextFacts

if TYPE_CHECKING:  # torch is imported where it is used: `startup` must be a small process
    import torch
    from lightning import LightningDataModule, Trainer
    from torch import Tensor

    from arclight.tasks.task import Task

SIDE = 8192  # rows of the matrices that are multiplied to measure the peak


@dataclass(frozen=True)
class Case:
    """A model and its batch.

    Attributes:
        words: overrides of the config, in addition to those of `assembled`.
        batch: examples of a step.
        mfu: the target MFU of the measured peak, in percent.
        rate: the target in examples per second.
    """

    name: str
    words: tuple[str, ...]
    facts: Facts
    batch: int
    mfu: float | None = None
    rate: float | None = None


def pictures(size: int = 224, classes: int = 1000) -> ImageFacts:
    known: dict[str, Any] = {"image_size": size, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3}
    sizes = {"train": 1, "val": 0, "test": 0}
    names = [str(i) for i in range(classes)]
    return ImageFacts(**known, num_classes=classes, class_names=names, sizes=sizes, fingerprint="")


def tokens(vocab_size: int = 50304, context: int = 1024) -> TextFacts:
    sizes = {"train": 1, "val": 0, "test": 0}
    return TextFacts(vocab_size=vocab_size, context=context, sizes=sizes, fingerprint="")


GPT = ("experiment=gpt_124m", "trainer.accumulate_grad_batches=1")
VIT = ("experiment=imagenet_vit_s16", "model.d_model=768", "model.n_heads=12")
CASES = (
    Case("GPT-124M", GPT, tokens(), batch=32, mfu=50),
    Case("ViT-B/16", VIT, pictures(), batch=256, mfu=45),
    Case("ResNet-50", ("experiment=imagenet_resnet50",), pictures(), batch=256, rate=4500),
)


def gpu(options: Options) -> list[Row]:
    """The recipes' steps on random data in GPU memory; an empty list without a GPU.

    Raises:
        UserError: `options.case` is not one of the models.
    """
    import torch

    if not torch.cuda.is_available():
        print("\ngpu is left out: this machine has no CUDA device.", flush=True)
        return []
    chosen = [case for case in CASES if options.case in (None, case.name)]
    if not chosen:
        raise UserError(f"case={options.case} should be {' or '.join(c.name for c in CASES)}.")
    device = torch.device("cuda")
    peaks = [matmul(device, SIDE) for _ in range(options.runs)]
    rows = [Row("bf16 matrix product", "TFLOPS", peaks, [], "project")]
    for case in chosen:
        rows += measure(options, case, device, max(peaks))
        gc.collect()  # the trainer is part of reference cycles
        torch.cuda.empty_cache()
    return rows


def matmul(device: "torch.device", side: int, repeats: int = 20) -> float:
    """TFLOP/s of a product of two square matrices."""
    import torch

    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    waited(lambda: a @ b, device)()  # the warm-up is not timed
    work = lambda: [a @ b for _ in range(repeats)]  # noqa: E731
    return 2e-12 * side**3 * repeats / timed(waited(work, device))


def waited(work: Callable[[], object], device: "torch.device") -> Callable[[], object]:
    """The work, followed by waiting for the device."""
    import torch

    def whole() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return whole


def measure(
    options: Options, case: Case, device: "torch.device", peak: float, *words: str
) -> list[Row]:
    """Measures both sides alternately: milliseconds per step, examples per second, and MFU.

    Args:
        peak: in TFLOP/s.
        words: overrides of the config, after those of the case.
    """
    from arclight.costs.step import dry_step
    from arclight.training.compilation import compile_task

    steps = options.steps or 20
    config, task, trainer, data = assembled(options, case, steps * (options.runs + 1) + 1, *words)
    flops = dry_step(task, case.facts, case.batch, device.type, "bf16-mixed").flops
    rival = bare(copy.deepcopy(task), held(case, device), steps, config)
    compile_task(task, config["compile"])
    trainer.callbacks.append(taken := blocks(steps, rival, device))  # type: ignore[attr-defined]
    with terminal():
        trainer.fit(task, datamodule=data)
    seconds = [[s / steps for s in side[1:]] for side in (taken.own, taken.theirs)]
    ms = [[1000 * s for s in side] for side in seconds]
    rates = [[case.batch / s for s in side] for side in seconds]
    shares = [[100 * flops / s / (peak * 1e12) for s in side] for side in seconds]
    unit = "texts/s" if isinstance(case.facts, TextFacts) else "images/s"
    return [
        Row(f"{case.name}: a step", "ms", *ms, "ratio", 1.03),
        Row(f"{case.name}: speed", unit, *rates, "project", case.rate, at_least=True),
        Row(f"{case.name}: MFU", "%", *shares, "project", case.mfu, at_least=True),
    ]


def assembled(
    options: Options, case: Case, steps: int, *words: str
) -> "tuple[dict[str, Any], Task, Trainer, LightningDataModule]":
    """Config, task, trainer with all callbacks, and data in GPU memory."""
    from hydra import compose, initialize_config_dir

    from arclight.config.freeze import freeze
    from arclight.data.module import DataModule
    from arclight.run.assembly import Parts, build_task
    from arclight.run.trainer import assemble
    from arclight.run_directory import create
    from arclight.training.loggers import MetricsFile

    sizes = {"train": steps * case.batch, "val": 0, "test": 0}

    class Held(DataModule):
        facts = replace(case.facts, sizes=sizes)

        def make_loader(self, stage: str, batches: Any, device: "torch.device") -> Any:
            return Again(held(case, device), len(batches))

    fixed = ["name=benchmark", "data.path=none", f"data.batch_size={case.batch}"]
    fixed += ["trainer.precision=bf16-mixed", "trainer.max_epochs=null", "scheduler.warmup=0.1"]
    fixed += [f"trainer.max_steps={steps}", "trainer.limit_val_batches=0"]
    fixed += ["trainer.val_check_interval=1.0", "trainer.check_val_every_n_epoch=1"]
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        config = freeze(compose("train", overrides=[*case.words, *fixed, *words]))
    task = build_task(config, case.facts)
    run = create(None, options.folder, "benchmark", config, [], {})
    data = Held("none", case.batch, None, 0)
    trainer = assemble(run, Parts(config, data, task), [MetricsFile(run.metrics_file)])
    return config, task, trainer, data


@dataclass(frozen=True)
class Again:
    """A loader that repeats one batch `count` times."""

    batch: Any
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return repeat(self.batch, self.count)


def held(case: Case, device: "torch.device") -> "tuple[Tensor, Tensor]":
    """A random batch on the device."""
    import torch

    facts, n = case.facts, case.batch
    with torch.device(device):
        if isinstance(facts, TextFacts):
            row = torch.randint(facts.vocab_size, (n, facts.context + 1))
            return row[:, :-1].contiguous(), row[:, 1:].contiguous()
        assert isinstance(facts, ImageFacts)
        size = facts.image_size
        return torch.randn(n, facts.channels, size, size), torch.randint(facts.num_classes, (n,))


def bare(
    task: "Task", batch: "tuple[Tensor, Tensor]", steps: int, config: dict[str, Any]
) -> Callable[[], object]:
    """A block of steps in plain PyTorch, with the task's model and optimizer."""
    import torch
    import torch.nn.functional as F

    inputs, targets = batch
    device, clip = inputs.device, config["trainer"]["gradient_clip_val"]
    model = task.model.to(device)
    optimizer = task.optimizer_of(model, fused=True)
    smoothing = getattr(task, "label_smoothing", 0.0)

    def loss_of(inputs: "Tensor", targets: "Tensor") -> "Tensor":
        logits = model(inputs).flatten(0, -2)
        return F.cross_entropy(logits, targets.flatten(), label_smoothing=smoothing)

    if config["compile"]:
        loss_of = torch.compile(loss_of)

    def block() -> None:
        for _ in range(steps):
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(inputs, targets)
            optimizer.zero_grad()
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()

    return block


def blocks(steps: int, rival: Callable[[], object], device: "torch.device") -> Any:
    """A callback that runs the baseline before each block of `steps` steps.

    `own` and `theirs` are the seconds of the blocks. The first block includes compilation; no block
    includes a checkpoint.
    """
    from lightning.pytorch.callbacks import Callback

    class Blocks(Callback):
        def __init__(self) -> None:
            self.own: list[float] = []
            self.theirs: list[float] = []
            self.began = 0.0

        def on_train_batch_start(
            self, trainer: "Trainer", task: Any, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx % steps:
                return
            waited(lambda: None, device)()
            if batch_idx:
                self.own.append(time.perf_counter() - self.began)
            if batch_idx + 1 < trainer.max_steps:
                self.theirs.append(timed(waited(rival, device)))
            self.began = time.perf_counter()

    return Blocks()
