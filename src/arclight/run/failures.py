"""Error messages for failures in training: the cause, and what to do."""

import errno
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch

from arclight.config.freeze import flatten
from arclight.data.module import DataModule
from arclight.libraries.pytorch import BATCH_NOT_SENT
from arclight.run.assembly import Parts
from arclight.tasks.task import Task

SHARED = Path("/dev/shm")  # through which processes pass tensors to each other
SPARE = 2**16  # bytes


_WORKER = re.compile(r"DataLoader worker \(pid(\(s\))? [\d, ]+\) (?P<end>.*)", re.DOTALL)
AGAIN = "Then start the run again: it continues from its last checkpoint."


def of_workers(error: BaseException) -> str | None:
    """The message if a data worker has ended or could not start; None for other errors."""
    ends = list(_ends(error))  # includes the errors that caused this one
    end, said = " ".join(ends), str(error)
    no_room = "shared memory(shm)" in said and os.strerror(errno.ENOSPC) in said
    no_start = isinstance(error, OSError) and error.errno == errno.ENOSPC and _is_full(SHARED)
    if no_room or no_start or f"exit code {BATCH_NOT_SENT}" in end or (ends and _is_full(SHARED)):
        return (
            f"A data worker cannot send its batches: {SHARED} is full. Make it larger "
            f"(docker run --shm-size=1g), or type data.num_workers=0. {AGAIN}"
        )
    if not ends:
        return None
    if "killed by signal" in end:
        name = end.partition(": ")[2].partition(".")[0]
        return (
            f"A data worker was killed ({name}), probably because memory ran out: type a "
            f"smaller data.num_workers, or data.num_workers=0. {AGAIN}"
        )
    return (
        "A data worker ended before its batch was read: data.num_workers=0 reads in the main "
        f"process and shows the reason. {AGAIN}"
    )


def _ends(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if found := _WORKER.match(str(error)):
            yield found["end"]
        error = error.__cause__ or error.__context__


def _is_full(place: Path) -> bool:
    """Whether a disk is almost full."""
    try:
        disk = os.statvfs(place)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < SPARE


def another_model(file: Path, error: Exception) -> str:
    return (
        f"The code creates another model than that of {file}: "
        f"{str(error).splitlines()[-1].strip()} Restore the code to continue the run, or start a "
        "new one."
    )


def out_of_memory(parts: Parts, trainer: L.Trainer) -> str:
    from arclight.costs.advice import in_parts

    batch, cut = parts.config["data"].get("batch_size"), trainer.accumulate_grad_batches
    peak = ""
    if trainer.strategy.root_device.type == "cuda":
        peak = f" ({torch.cuda.max_memory_allocated() / 2**30:.1f} GiB were in use)"
    if not parts.task.training and isinstance(parts.data, DataModule):
        batch = parts.data.evaluated_at_once(cut)
        return (
            f"The device ran out of memory in evaluation with data.eval_batch_size={batch}{peak}; "
            f"type data.eval_batch_size={max(1, batch // 2)} to halve the memory of a batch."
        )
    return (
        f"The device ran out of memory with data.batch_size={batch}{peak}; type "
        f"trainer.accumulate_grad_batches={cut * 2} for half the memory ({in_parts(parts.task)}), "
        "a smaller data.batch_size, trainer.precision=bf16-mixed, or, if the model supports it, "
        "model.activation_checkpointing=true."
    )


def not_measured(config: Mapping[str, Any], name: str, known: Collection[str]) -> str:
    """The message if the config uses a metric that is never logged."""
    keys = [key for key, value in flatten(dict(config)) if value == name]
    named = " and ".join(f"{key}={name}" for key in keys) or name
    return f"{named} is not logged: choose from {', '.join(sorted(known))}."


def unknown_metric(parts: Parts, trainer: L.Trainer, error: Exception) -> str | None:
    """The message if Lightning failed because a metric is not logged; None for other errors."""
    found = re.search(r"conditioned on metric `?(?P<name>[^\s`]+)`? which is not", str(error))
    if found is None:
        return None
    return not_measured(parts.config, found["name"], set(trainer.callback_metrics))


def unvalidated_metric(
    parts: Parts, validated: Mapping[str, Any], tested: Collection[str]
) -> str | None:
    """The message if a run without validation monitors a metric that its task does not have.

    A `Task` has the same metrics in validation and test.
    """
    monitor = (parts.config["callbacks"].get("checkpoints") or {}).get("monitor")
    known = {f"val/{name.partition('/')[2]}" for name in tested}
    if validated or not known or monitor is None or not isinstance(parts.task, Task):
        return None
    if not monitor.startswith("val/") or monitor in known:
        return None
    return not_measured(parts.config, monitor, known)


def other_sizes(parts: Parts, error: Exception) -> str | None:
    """The message if sizes in the model's config differ from those of the data; else None."""
    model, known = parts.config.get("model") or {}, parts.facts.for_model()
    differ = {k: v for k, v in known.items() if model.get(k) not in (None, v)}
    if not differ:
        return None
    given = " and ".join(f"model.{key}={model[key]}" for key in differ)
    have = ", ".join(f"{key} {value}" for key, value in differ.items())
    fix = " ".join(f"model.{key}=null" for key in differ)
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(".")
    return f"{given}, but the data have {have}: type {fix} to take it from the data ({said})."


def long_interval(parts: Parts, error: Exception) -> str:
    """The message if `val_check_interval` is larger than the number of batches in an epoch."""
    given = parts.config["trainer"]["val_check_interval"]
    batches = re.search(r"training batches \((\d+)\)", str(error))
    if batches is None:
        return f"trainer.val_check_interval={given}: {' '.join(str(error).split())}"
    return (
        f"trainer.val_check_interval={given} is more than the {batches[1]} batches of an epoch: "
        f"type trainer.val_check_interval={batches[1]} or less, or "
        "trainer.check_val_every_n_epoch=null to count over epochs."
    )
