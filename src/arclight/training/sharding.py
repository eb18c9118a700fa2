"""FSDP2: several processes train one model, and each keeps a shard of it."""

import os
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from arclight.errors import UserError
from arclight.libraries.lightning import shard_over_all_processes
from arclight.models.blocks import find_blocks
from arclight.models.checks import has_batch_norm
from arclight.training.checkpoint_files import read
from arclight.training.shards import read_shards, remove_unused_shards, write_shards

FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
ENTRANCES = ("generate",)
"""Methods that tasks call besides `forward`. They must gather the weights too. A model can list
more of them in `entrances`."""


class FullyShardedStrategy(ModelParallelStrategy):
    """FSDP2 over all processes of all nodes (Zhao et al., 2023).

    Weights, gradients and optimizer states are sharded. A block's weights are gathered when it
    computes and freed afterwards. A checkpoint is one ordinary file, gathered on the first process.
    With `sharded_checkpoints` it is a small file that refers to a folder, to which each process
    writes its own shard.

    Args:
        half: gather and compute in bfloat16; gradients are still summed in float32.
        sharded_checkpoints: whether each process writes its own shard.
    """

    def __init__(self, half: bool, sharded_checkpoints: bool) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=sharded_checkpoints)
        self.half = half
        self.sharded_checkpoints = sharded_checkpoints

    def setup_environment(self) -> None:
        shard_over_all_processes(self)
        super().setup_environment()
        task: Any = self.lightning_module
        # Lightning's hook for sharding, set only here: Lightning treats any module that has it as
        # sharded.
        task.configure_model = lambda: self.shard(task.model)

    def shard(self, model: nn.Module) -> None:
        """Shards the model block by block, in place; a second call changes nothing.

        Raises:
            UserError: the model has a scalar parameter.
        """
        if any(isinstance(p, DTensor) for p in model.parameters()):
            return
        for name, parameter in model.named_parameters():
            if parameter.ndim == 0:
                raise UserError(
                    f"{name} of {type(model).__name__} is a scalar parameter, which "
                    "trainer.strategy=fsdp cannot shard: type trainer.strategy=ddp."
                )
        model.to(memory_format=torch.contiguous_format)  # FSDP2 cannot shard channels_last
        mesh = self.device_mesh["data_parallel"]
        policy = MixedPrecisionPolicy()
        if self.half and not has_batch_norm(model):  # batch norm needs float32 with bfloat16 inputs
            # Inputs of a block keep autocast's dtype: the residual stream stays in float32.
            policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        # T5's blocks return a view, the position bias, which is never changed in place.
        warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module \(FSDPT5Block\) returned")
        for block in find_blocks(model):
            fully_shard(block, mesh=mesh, mp_policy=policy)
        # Free weights outside the blocks after the forward pass too: otherwise they would stay
        # gathered after a validation.
        fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        for name in (*ENTRANCES, *getattr(model, "entrances", ())):
            if hasattr(model, name):
                register_fsdp_forward_method(model, name)

    def on_validation_start(self) -> None:
        """Copies the first process's buffers (batch-norm statistics), which are saved, to all."""
        assert self.model is not None
        for buffer in self.model.buffers():
            dist.broadcast(buffer, src=0)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.model is not None
        options = StateDictOptions() if self.sharded_checkpoints else FULL
        return get_model_state_dict(self.model, options=options)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's state, keyed by the names of the parameters instead of their indices."""
        assert self.model is not None
        options = StateDictOptions() if self.sharded_checkpoints else FULL
        return get_optimizer_state_dict(self.model, _unwrapped(optimizer), options=options)

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        filepath: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Saves atomically; every process must call it."""
        if self.sharded_checkpoints:
            state = {k: checkpoint.pop(k) for k in ("state_dict", "optimizer_states")}
            checkpoint |= {"state_dict": {}, **write_shards(state, Path(filepath))}
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, Path(filepath), storage_options)
            if self.sharded_checkpoints:
                remove_unused_shards(Path(filepath).parent)

    def teardown(self) -> None:
        self.checkpoint_io.teardown()  # waits for the thread that writes a checkpoint
        super().teardown()

    def load_checkpoint(
        self, checkpoint_path: str | os.PathLike[str], weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Loads weights and optimizer states, and returns the rest of the checkpoint."""
        assert self.model is not None
        path = Path(checkpoint_path)
        checkpoint = read(path, shards=False)
        optimizers = [_unwrapped(o) for o in self.optimizers]
        if "shards" in checkpoint:
            state = {
                "state_dict": get_model_state_dict(self.model),
                "optimizer_states": [get_optimizer_state_dict(self.model, o) for o in optimizers],
            }
            read_shards(state, path.parent / checkpoint["shards"], checkpoint["shard_metadata"])
            checkpoint |= state
            options = StateDictOptions()
        else:
            options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.model, checkpoint.pop("state_dict"), options=options)
        states = checkpoint.pop("optimizer_states")
        for optimizer, saved in zip(optimizers, states, strict=False):  # a test has no optimizers
            set_optimizer_state_dict(self.model, optimizer, saved, options=options)
        return checkpoint


def _unwrapped(optimizer: Optimizer) -> Optimizer:
    return optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
