"""What the engine needs of torch's private names, in one place.

- `TorchDispatchMode`, `FakeTensor` and `FakeTensorMode`: the memory forecast counts the operations
  of a step, on tensors that have shapes but no values.
- `is_traceable_wrapper_subclass`: it also counts tensors made of several others, as 8-bit states.
- `CPU_ATTENTION` and its formulas: attention on CPUs is counted, and forecast with the kernel that
  a CPU would choose. torch takes another one, which keeps all attention weights, for tensors
  without values.
- `DataLoader._iterator`, and `_workers` and `_shutdown_workers` of its iterator: workers end when
  they are told to. torch leaves it to the garbage collector, which waits five seconds for each.
- `_on_queue_feeder_error` of Python's `multiprocessing.queues.Queue`: a worker that cannot hand on
  a batch would print a traceback and live on, while the run waits for the batch.
- `torch._dynamo.utils.counters`: how many graphs have been compiled, and so the time it took.

A name that is gone raises an error when this module is imported, when workers are started, in a
worker, or when graphs are counted.
"""

import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils.data import DataLoader

from arclight.libraries.missing import missing

__all__ = [
    "CPU_ATTENTION",
    "NOT_HANDED_ON",
    "FakeTensorMode",
    "TorchDispatchMode",
    "attention_formulas",
    "end_with_its_queue",
    "end_workers",
    "forget_workers",
    "graphs_so_far",
    "has_values",
    "is_traceable_wrapper_subclass",
    "start_workers",
]

FILE = "pytorch.py"
NOT_HANDED_ON = os.EX_IOERR
"""The exit code of a worker that could not hand on a batch."""


def _operator(name: str) -> Any:
    try:
        return getattr(torch.ops.aten, name)
    except AttributeError:
        raise missing("torch", f"aten::{name}", FILE) from None


FLASH = "_scaled_dot_product_flash_attention"
CPU_ATTENTION = _operator(f"{FLASH}_for_cpu")
"""The attention kernel of CPUs, which returns its result and what the backward pass needs."""

_SAME_COST = {
    CPU_ATTENTION: _operator(FLASH),
    _operator(f"{FLASH}_for_cpu_backward"): _operator(f"{FLASH}_backward"),
}


def attention_formulas(known: dict[Any, Callable[..., int]]) -> dict[Any, Callable[..., int]]:
    """The arithmetic of attention on CPUs, which not every release of torch knows.

    Args:
        known: `torch.utils.flop_counter.flop_registry`, which has the same attention on GPUs.
    """
    return {kernel: known[same] for kernel, same in _SAME_COST.items()}


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor has values: false on the meta device and in a dry run, of shapes alone."""
    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def start_workers(loader: "DataLoader[Any]") -> tuple[Iterator[Any], list[BaseProcess]]:
    """Begins the loader's next pass; returns its iterator and worker processes, if there are any.

    Raises:
        RuntimeError: this version of torch has other names for what ends the workers.
    """
    if not hasattr(loader, "_iterator"):
        raise missing("torch", "DataLoader._iterator", FILE)
    batches: Any = iter(loader)
    if not loader.num_workers:
        return batches, []
    for name in ("_workers", "_shutdown_workers"):
        if not hasattr(batches, name):
            raise missing("torch", f"{type(batches).__name__}.{name}", FILE)
    return batches, list(batches._workers)


def end_with_its_queue() -> None:
    """Within a worker: it ends, with `NOT_HANDED_ON`, where it cannot hand on a batch.

    Raises:
        RuntimeError: this version of Python has another name for what happens then.
    """
    if not hasattr(Queue, "_on_queue_feeder_error"):
        raise missing("Python", "multiprocessing.queues.Queue._on_queue_feeder_error", FILE)
    setattr(Queue, "_on_queue_feeder_error", staticmethod(_end))  # noqa: B010


def _end(error: Exception, _: object) -> None:
    print(f"A data worker cannot hand on its batch: {error}", file=sys.stderr, flush=True)
    os._exit(NOT_HANDED_ON)


def end_workers(batches: Any) -> None:
    """Ends the workers of an iterator that `start_workers` returned with workers."""
    batches._shutdown_workers()


def forget_workers(loader: "DataLoader[Any]") -> None:
    """Makes a loader with persistent workers start new ones, since its present ones have ended."""
    loader._iterator = None


def graphs_so_far() -> int:
    """How many graphs this process has compiled."""
    utils: Any = sys.modules.get("torch._dynamo.utils")  # not imported here: that takes seconds
    if utils is None:
        return 0
    if not hasattr(utils, "counters"):
        raise missing("torch", "_dynamo.utils.counters", FILE)
    return int(utils.counters["stats"]["unique_graphs"])
