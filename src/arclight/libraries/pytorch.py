"""Private names of torch that the engine uses.

- `TorchDispatchMode`, `FakeTensor` and `FakeTensorMode`: the memory forecast counts the operations
  of a step on tensors with shapes but without values.
- `is_traceable_wrapper_subclass`: the forecast also counts tensors that wrap several others, such
  as 8-bit optimizer states.
- `CPU_ATTENTION` and its formulas: the forecast counts attention on CPUs with the kernel that a CPU
  chooses. For tensors without values torch takes another one, which stores all attention weights.
- `DataLoader._iterator`, and `_workers` and `_shutdown_workers` of its iterator: to stop workers
  immediately. torch leaves this to the garbage collector, which waits five seconds for each.
- `_on_queue_feeder_error` of Python's `multiprocessing.queues.Queue`: a worker that cannot send a
  batch would only print a traceback, and the run would wait for the batch forever.
- `torch._dynamo.utils.counters`: the number of graphs compiled so far.

If a name is missing, an error is raised when this module is imported, when workers start, in a
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
    "BATCH_NOT_SENT",
    "CPU_ATTENTION",
    "FakeTensorMode",
    "TorchDispatchMode",
    "attention_formulas",
    "end_workers",
    "exit_if_batch_is_lost",
    "forget_workers",
    "graphs_so_far",
    "has_values",
    "is_traceable_wrapper_subclass",
    "start_workers",
]

FILE = "pytorch.py"
BATCH_NOT_SENT = os.EX_IOERR
"""The exit code of a worker that could not send a batch."""


def _operator(name: str) -> Any:
    try:
        return getattr(torch.ops.aten, name)
    except AttributeError:
        raise missing("torch", f"aten::{name}", FILE) from None


FLASH = "_scaled_dot_product_flash_attention"
CPU_ATTENTION = _operator(f"{FLASH}_for_cpu")
"""The attention kernel of CPUs; it returns the result and the values for the backward pass."""

_SAME_COST = {
    CPU_ATTENTION: _operator(FLASH),
    _operator(f"{FLASH}_for_cpu_backward"): _operator(f"{FLASH}_backward"),
}


def attention_formulas(known: dict[Any, Callable[..., int]]) -> dict[Any, Callable[..., int]]:
    """Returns FLOP formulas of attention on CPUs, which some releases of torch lack.

    Args:
        known: `torch.utils.flop_counter.flop_registry`, which has the formulas for GPUs.
    """
    return {kernel: known[same] for kernel, same in _SAME_COST.items()}


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor has values: False on the meta device and in a dry run."""
    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def start_workers(loader: "DataLoader[Any]") -> tuple[Iterator[Any], list[BaseProcess]]:
    """Starts the loader's next pass; returns its iterator and its worker processes, if any.

    Raises:
        RuntimeError: this version of torch lacks a name that is used to stop the workers.
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


def exit_if_batch_is_lost() -> None:
    """Makes a worker exit with `BATCH_NOT_SENT` if it cannot send a batch; call it in the worker.

    Raises:
        RuntimeError: this version of Python lacks the method that is replaced.
    """
    if not hasattr(Queue, "_on_queue_feeder_error"):
        raise missing("Python", "multiprocessing.queues.Queue._on_queue_feeder_error", FILE)
    setattr(Queue, "_on_queue_feeder_error", staticmethod(_end))  # noqa: B010


def _end(error: Exception, _: object) -> None:
    print(f"A data worker cannot send its batch: {error}", file=sys.stderr, flush=True)
    os._exit(BATCH_NOT_SENT)


def end_workers(batches: Any) -> None:
    """Stops the workers of an iterator that `start_workers` returned."""
    batches._shutdown_workers()


def forget_workers(loader: "DataLoader[Any]") -> None:
    """Makes a loader with persistent workers start new ones, after its workers have stopped."""
    loader._iterator = None


def graphs_so_far() -> int:
    """Returns the number of graphs that this process has compiled."""
    utils: Any = sys.modules.get("torch._dynamo.utils")  # importing it would take seconds
    if utils is None:
        return 0
    if not hasattr(utils, "counters"):
        raise missing("torch", "_dynamo.utils.counters", FILE)
    return int(utils.counters["stats"]["unique_graphs"])
