"""torch.compile, by one word of the config."""

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
"""What torch calls them."""

VARIANTS = 4  # of a block's graph: to train and to evaluate, and each once more for any batch size


def compile_task(task: L.LightningModule, how: Compile, accumulated: bool = False) -> None:
    """Compiles the task's model, and the loss over a vocabulary where it has one.

    Of a module that is no `Task`, each submodule that has weights is compiled.

    The loss is a piece of its own: names, `forward` and what is exported stay the model's, and of
    the memory that a compiled step moves, all but one reading of the logits is saved nevertheless.

    Args:
        how, accumulated: see `compile_model`, which also says what is raised.
    """
    if how is False:
        return
    torch.compiler.reset()  # of the jobs before in this process: their graphs count for the limit
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

    It is compiled once for training and once for evaluation. A batch of another size, such as the
    last of an evaluation, compiles it once more, for batches of any size.

    Args:
        how: `blocks` compiles each block by itself, and identical blocks share one graph. The
            others compile the whole model: `max-autotune` by trying kernels, `cudagraphs` recorded
            as CUDA graphs, without the cost of starting each kernel.
        accumulated: whether the gradients of several backward passes are added up. They lie in the
            memory of a CUDA graph, which its next replay writes over, so `max-autotune` does
            without graphs then.

    Raises:
        UserError: `blocks` of a model that has none by a usual name, or `cudagraphs` of accumulated
            gradients.
    """
    if how is False:
        return
    if how == "blocks":
        blocks = find_blocks(model)
        if not blocks:
            raise UserError(
                f"compile=blocks: {type(model).__name__} has no blocks by a usual name; "
                "type compile=whole."
            )
        _allow(VARIANTS * len(blocks))
        for block in blocks:
            block.compile()
        return
    if how == "cudagraphs" and accumulated:
        raise UserError(
            "compile=cudagraphs cannot add up gradients over several batches: type "
            "trainer.accumulate_grad_batches=1, or compile=whole."
        )
    options: dict[str, Any] = {"mode": MODES[how]} if isinstance(how, str) and how in MODES else {}
    if how == "max-autotune" and accumulated:
        options["mode"] = "max-autotune-no-cudagraphs"
    model.compile(**options)


def _allow(graphs: int) -> None:
    """Lets so many graphs be made of one piece of code, which all blocks of a kind are.

    torch's limit of eight is meant to find faults. Beyond it the other blocks, of other sizes or
    with other dropout rates, would run uncompiled. It counts all blocks that share the code.
    """
    import torch.compiler.config as config

    config.recompile_limit = max(config.recompile_limit, graphs)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, graphs)


@dataclass
class _Batches:
    """Seconds and numbers of batches; in the first place those at which nothing was compiled."""

    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    count: list[int] = field(default_factory=lambda: [0, 0])

    def excess(self) -> float:
        """What those at which something was compiled took beyond as many of the others."""
        ordinary = self.seconds[0] / max(1, self.count[0])
        return max(0.0, self.seconds[1] - self.count[1] * ordinary)


class CompileClock(Callback):
    """How long training and its validations have waited for the compiler.

    That is what batches at which something was compiled took longer than the others. So the search
    for the best kernels, which belongs to the warm-up and follows the compiler, is within.
    """

    def __init__(self) -> None:
        self._train, self._val = _Batches(), _Batches()
        self._began, self._graphs = 0.0, 0

    @property
    def seconds(self) -> float:
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
