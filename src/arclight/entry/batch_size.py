"""Find the largest batch size that fits into memory, by trying."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from arclight.config.build import build
from arclight.costs.advice import too_large_in_evaluation
from arclight.costs.forecast import forecast, gib, real_batch
from arclight.costs.peaks import free_memory
from arclight.costs.step import dry_step
from arclight.data.module import DataModule
from arclight.entry.preflight import DEVICES
from arclight.errors import UserError
from arclight.processes.devices import process_count, require_devices, resolve_accelerator
from arclight.run.assembly import Parts, build_parts
from arclight.tasks.task import Task
from arclight.training.trainer import resolve_precision

STEPS = 2  # in the second step, the optimizer's state takes memory too


def largest_batch(
    config: dict[str, Any], limit_gb: float | None, say: Callable[[str], None]
) -> int:
    """Returns the largest `data.batch_size` that trains, to within an eighth.

    Doubles the size, then bisects. Each size takes real training steps, the last one on texts of
    the maximum length. On a CPU, running out of memory could end the program, so the memory is
    estimated first, and a size is tried only if it should fit.

    Args:
        config: the frozen and checked config.
        limit_gb: GiB that may be used; None: the free memory of the device.
        say: called with a line for each try, and for an evaluation batch that will not fit.

    Raises:
        UserError: not even one example fits, the trainer has several devices, or the data module
            makes its own loaders.
    """
    require_devices(config["trainer"])
    if process_count(config["trainer"]) * config["trainer"]["num_nodes"] > 1:
        raise UserError(
            "The batch size is found for one device: type trainer=gpu or trainer=cpu, and multiply "
            "the result by the number of devices."
        )
    device = torch.device(DEVICES[resolve_accelerator(config["trainer"])])
    limit = int(limit_gb * 2**30) if limit_gb else free_memory(device)
    cut: int = config["trainer"]["accumulate_grad_batches"]
    config["data"]["batch_size"] = cut
    with TemporaryDirectory() as folder:
        parts = build_parts(config, Path(folder))
    if not (isinstance(parts.data, DataModule) and isinstance(parts.task, Task)):
        raise UserError(
            f"{type(parts.data).__name__} makes its own loaders, so their batch size is unknown: "
            "try batch sizes by hand, or make it a subclass of arclight.DataModule."
        )
    examples = parts.facts.sizes["train"]
    precision = resolve_precision(config["trainer"]["precision"], config["trainer"]["accelerator"])
    foreseen = forecast(parts.config, parts.data, parts.task, parts.facts, device, precision, 1)
    for sentence in too_large_in_evaluation(config, replace(foreseen, free=limit)):
        say(sentence)
    del parts
    found, over = 0, examples // cut + 1  # in units of `cut`
    size = 1
    while over - found > max(1, found // 8):
        why = _does_not_fit(config, size * cut, device, limit)
        say(f"data.batch_size={size * cut}: {why or 'fits'}")
        found, over = (found, size) if why else (size, over)
        doubled = 2 * found
        size = doubled if 0 < doubled < over else (found + over) // 2
    if not found:
        raise UserError(
            f"Not even data.batch_size={cut} fits into {gib(limit) if limit else 'the memory'}: "
            "try trainer.precision=bf16-mixed, model.activation_checkpointing=true or a smaller "
            "model."
        )
    return found * cut


def _does_not_fit(
    config: dict[str, Any], size: int, device: torch.device, limit: int | None
) -> str:
    """Returns why the size does not fit; empty if it does."""
    settings = config["trainer"]
    config = {**config, "data": {**config["data"], "batch_size": size}}
    with TemporaryDirectory() as folder:
        parts = build_parts(config, Path(folder))
        task, data = parts.task, parts.data
        assert isinstance(task, Task)
        assert isinstance(data, DataModule)
        if device.type == "cpu":
            precision = resolve_precision(settings["precision"], settings["accelerator"])
            each = max(1, size // settings["accumulate_grad_batches"])
            real = partial(real_batch, data)
            needed = dry_step(task, parts.facts, each, "cpu", precision, real=real).peak
            if limit is not None and needed > limit:
                return f"needs about {gib(needed)} of {gib(limit)}"
        trainer = build(
            {**settings, "max_epochs": None, "max_steps": STEPS, "limit_val_batches": 0},
            run_dir=Path(folder),
            callbacks=[],
            loggers=[],
            deterministic=config["deterministic"],
        )
        used = 0
        with_longest(parts, settings["accumulate_grad_batches"])
        try:
            trainer.fit(parts.task, datamodule=parts.data)
            if device.type == "cuda":
                used = torch.cuda.max_memory_allocated(device)
        except torch.OutOfMemoryError:
            return "out of memory"
        finally:
            del parts, trainer
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
    if limit is not None and used > limit:
        return f"used {gib(used)} of {gib(limit)}"
    return ""


class Longest:
    """The first batches of a loader, followed by batches of texts with the maximum length."""

    def __init__(self, loader: Iterable[Any], longest: Any, count: int) -> None:
        self.loader, self.longest, self.count = loader, longest, count

    def __len__(self) -> int:
        return STEPS * self.count

    def __iter__(self) -> Iterator[Any]:
        yield from islice(self.loader, (STEPS - 1) * self.count)
        yield from repeat(self.longest, self.count)


def with_longest(parts: Parts, cut: int) -> None:
    """Makes the last step use texts of the maximum length.

    The first batches are padded to their own longest text, so they may need less memory than
    later ones.
    """
    task, data = parts.task, parts.data
    if not (isinstance(task, Task) and isinstance(data, DataModule) and task.padded):
        return
    first = data.train_dataloader
    longest = task.blank_batch(data.facts, data.batch_size // cut)
    data.train_dataloader = lambda: Longest(first(), longest, cut)  # type: ignore[method-assign]
