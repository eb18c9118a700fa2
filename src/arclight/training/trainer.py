"""Lightning's Trainer, with the parts that a run directory brings itself."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.utilities import rank_zero_only

from arclight.errors import UserError
from arclight.ranges import Count, NonNegative, Share
from arclight.training.checkpoints import Checkpoints, WholeCheckpointIO


class NoProfiler(PassThroughProfiler):
    """Measures nothing at no cost, where Lightning's makes a generator for each hook of a step."""

    _nothing = nullcontext("")

    def profile(self, action_name: str) -> AbstractContextManager[str]:  # type: ignore[override]
        return self._nothing


def make_trainer(
    run_dir: Path,
    callbacks: list[Callback],
    loggers: list[Logger],
    deterministic: bool,
    accelerator: Literal["cpu", "gpu", "mps"] = "cpu",
    devices: Count | Literal["auto"] = 1,
    num_nodes: Count = 1,
    strategy: Literal["auto", "ddp", "fsdp"] = "auto",
    sharded_checkpoints: bool = False,
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "32-true",
    float8: bool = False,
    max_epochs: Count | Literal[-1] | None = None,
    max_steps: Count | Literal[-1] = -1,
    gradient_clip_val: NonNegative | None = None,
    accumulate_grad_batches: Count = 1,
    check_val_every_n_epoch: Count | None = 1,
    val_check_interval: Count | Share = 1.0,
    limit_train_batches: Count | Share = 1.0,
    limit_val_batches: Count | Share = 1.0,
    limit_test_batches: Count | Share = 1.0,
    log_every_n_steps: Count = 50,
    detect_anomaly: bool = False,
    profiler: Literal["simple", "advanced", "pytorch"] | None = None,
) -> L.Trainer:
    """The trainer of a run.

    The bar, the checkpoints and the loggers are the run's own; the data modules share the data
    among processes themselves.
    """
    checkpoints = [c for c in callbacks if isinstance(c, Checkpoints)]
    asynchronous = any(c.asynchronous for c in checkpoints)
    precision = resolve_precision(precision, accelerator)
    if float8:
        from arclight.training.low_precision import require_float8

        require_float8()
    if strategy == "fsdp":
        _require_shardable(callbacks, precision, asynchronous and sharded_checkpoints)
    elif sharded_checkpoints:
        raise UserError(
            "trainer.sharded_checkpoints=true is for trainer.strategy=fsdp, where there are "
            "shards: type trainer.sharded_checkpoints=false."
        )
    if not torch.cuda.device_count():
        # Lightning asks the driver through NVML, which without a device costs each step 0.2 ms.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    torch.set_float32_matmul_precision("high")  # TF32 where there is such a thing
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    environment = _environment()
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=_strategy(strategy, precision, sharded_checkpoints),
        precision=precision,
        max_epochs=max_epochs if max_epochs is not None else (None if max_steps > 0 else -1),
        max_steps=max_steps,
        gradient_clip_val=gradient_clip_val,
        accumulate_grad_batches=accumulate_grad_batches,
        check_val_every_n_epoch=check_val_every_n_epoch,
        val_check_interval=val_check_interval,
        limit_train_batches=limit_train_batches,
        limit_val_batches=limit_val_batches,
        limit_test_batches=limit_test_batches,
        log_every_n_steps=0,  # `Record` logs
        detect_anomaly=detect_anomaly,
        profiler=profiler or NoProfiler(),
        deterministic=deterministic,
        benchmark=not deterministic,
        num_sanity_val_steps=0,
        default_root_dir=run_dir,
        callbacks=callbacks,
        logger=loggers,
        plugins=[WholeCheckpointIO(asynchronous), environment],
        use_distributed_sampler=False,
        enable_checkpointing=bool(checkpoints),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    # `Interrupts` tells all processes of a signal while they compute. Lightning's own way makes
    # them wait for each other in every step, and in a signal's handler.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


# What other launchers tell a process about the run that it is a part of.
FOREIGN = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
)


def _environment() -> ClusterEnvironment:
    """Who started the processes of the run: our launcher, which is torch's, or there is but one.

    Lightning would guess, from what a shell within a SLURM or Kubernetes job is full of, that this
    process is one of several, and which.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    for name in FOREIGN:
        os.environ.pop(name, None)
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # when imported it believes them too
    return LightningEnvironment()


def _strategy(name: str, precision: str, sharded_checkpoints: bool) -> Strategy | str:
    """Lightning's strategy of that name, with what suits it."""
    if name == "fsdp":
        from arclight.training.sharding import FullyShardedStrategy  # a second to import

        return FullyShardedStrategy(precision == "bf16-mixed", sharded_checkpoints)
    if name == "ddp":
        # Gradients are views of what is sent: no copy, and no second set of them in memory.
        return DDPStrategy(gradient_as_bucket_view=True)
    return name


def _require_shardable(callbacks: list[Callback], precision: str, both: bool) -> None:
    """Raises `UserError` where fsdp cannot do what the config asks for.

    Args:
        both: whether checkpoints should be sharded and asynchronous.
    """
    if any(isinstance(c, WeightAveraging) for c in callbacks):
        raise UserError(
            "callbacks.ema.decay keeps a whole copy of the weights, which trainer.strategy=fsdp "
            "shards: type callbacks.ema.decay=null, or trainer.strategy=ddp."
        )
    if precision == "16-mixed":
        raise UserError(
            "trainer.strategy=fsdp does not scale the loss as trainer.precision=16-mixed needs: "
            "type trainer.precision=bf16-mixed or 32-true, or trainer.strategy=ddp."
        )
    if both:
        raise UserError(
            "callbacks.checkpoints.asynchronous=true writes from one process, "
            "trainer.sharded_checkpoints=true from all: set one of them to false."
        )


def resolve_precision(
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"],
    accelerator: str,
) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """What `auto` means here: bf16 where the device computes with it, else fp16; fp32 on CPUs.

    Raises:
        UserError: fp16 on a CPU, which Lightning would silently turn into something else.
    """
    if accelerator == "cpu" and precision == "16-mixed":
        raise UserError(
            "trainer.precision=16-mixed needs a GPU; on a CPU type trainer.precision=32-true."
        )
    if precision != "auto":
        return precision
    if accelerator == "cpu":
        return "32-true"
    bf16 = accelerator == "gpu" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if bf16 else "16-mixed"
