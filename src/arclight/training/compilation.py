"""torch.compile, configured by one value of the config."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from arclight.errors import UserError
from arclight.libraries.pytorch import graphs_so_far
from arclight.models.blocks import find_blocks
from arclight.tasks.task import Task

Compile = bool | Literal["whole", "blocks", "max-autotune", "cudagraphs"]

MODES = {"max-autotune": "max-autotune", "cudagraphs": "reduce-overhead"}
"""torch's names of these modes."""

VARIANTS = 4  # graphs of a block: training and evaluation, each for a fixed and for any batch size


def compile_task(task: L.LightningModule, how: Compile, accumulated: bool = False) -> None:
    """Compiles the task's model, and its cross-entropy over a vocabulary if it has one.

    If the module is not a `Task`, each submodule that has weights is compiled.

    The loss is compiled separately, so the model's names, `forward` and export stay the same. This
    reads the logits once more than compiling both together would.

    Args:
        how, accumulated: see `compile_model`.

    Raises:
        UserError: see `compile_model`.
    """
    if how is False:
        return
    torch.compiler.reset()  # graphs of earlier jobs in this process count towards torch's limit
    if not isinstance(task, Task):
        for part in task.children():
            if any(True for _ in part.parameters()):
                compile_model(part, how, accumulated)
        return
    compile_model(task.model, how, accumulated)
    if task.cross_entropy is not None:
        task.cross_entropy.compile()


def compile_model(model: nn.Module, how: Compile, accumulated: bool = False) -> None:
    """Compiles the model in place, at its first step; weights and modules keep their names.

    The model is compiled once for training and once for evaluation. A batch of another size, such
    as the last one of an evaluation, compiles it once more, for batches of any size.

    Args:
        how: `blocks` compiles each block separately, and identical blocks share one graph. The
            other values compile the whole model: `max-autotune` tries several kernels, and
            `cudagraphs` records CUDA graphs, which saves the launch overhead of each kernel.
        accumulated: whether gradients of several backward passes are accumulated. They are in the
            memory of a CUDA graph, which its next replay overwrites, so `max-autotune` then does
            not use CUDA graphs.

    Raises:
        UserError: `blocks` with a model that has no known blocks, or `cudagraphs` with accumulated
            gradients.
    """
    if how is False:
        return
    if how == "blocks":
        blocks = find_blocks(model)
        if not blocks:
            raise UserError(
                f"compile=blocks: {type(model).__name__} has no blocks with a usual name; "
                "type compile=whole."
            )
        _raise_recompile_limit(VARIANTS * len(blocks))
        for block in blocks:
            block.compile()
        return
    if how == "cudagraphs" and accumulated:
        raise UserError(
            "compile=cudagraphs cannot accumulate gradients over several batches: type "
            "trainer.accumulate_grad_batches=1, or compile=whole."
        )
    options: dict[str, Any] = {"mode": MODES[how]} if isinstance(how, str) and how in MODES else {}
    if how == "max-autotune" and accumulated:
        options["mode"] = "max-autotune-no-cudagraphs"
    model.compile(**options)


def _raise_recompile_limit(graphs: int) -> None:
    """Allows at least this many graphs of one `forward`; all blocks of a class share one.

    torch's limit of eight is meant to detect mistakes. Beyond it, further blocks that have other
    sizes or dropout rates would run uncompiled.
    """
    import torch.compiler.config as config

    config.recompile_limit = max(config.recompile_limit, graphs)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, graphs)


@dataclass
class _Batches:
    """Seconds and numbers of batches: index 0 without compilation, index 1 with compilation."""

    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    count: list[int] = field(default_factory=lambda: [0, 0])

    def excess(self) -> float:
        """The additional seconds of batches with compilation, compared with ordinary batches."""
        ordinary = self.seconds[0] / max(1, self.count[0])
        return max(0.0, self.seconds[1] - self.count[1] * ordinary)


class CompileClock(Callback):
    """Measures how long training and validation have waited for the compiler.

    This is the extra time of batches during which something was compiled. It includes the kernel
    autotuning that follows a compilation.
    """

    def __init__(self) -> None:
        self._train, self._val = _Batches(), _Batches()
        self._began, self._graphs = 0.0, 0

    @property
    def seconds(self) -> float:
        """Seconds of compilation so far."""
        return self._train.excess() + self._val.excess()

    def on_train_batch_start(self, *_: Any) -> None:
        self._began, self._graphs = time.perf_counter(), graphs_so_far()

    def on_train_batch_end(self, *_: Any) -> None:
        self._count(self._train)

    def on_validation_batch_start(self, *_: Any) -> None:
        self._began, self._graphs = time.perf_counter(), graphs_so_far()

    def on_validation_batch_end(self, *_: Any) -> None:
        self._count(self._val)

    def _count(self, batches: _Batches) -> None:
        compiled = graphs_so_far() > self._graphs
        batches.seconds[compiled] += time.perf_counter() - self._began
        batches.count[compiled] += 1
