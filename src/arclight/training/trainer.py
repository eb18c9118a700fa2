"""Creates Lightning's Trainer, with the checkpoints and loggers of a run directory."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ProgressBar, WeightAveraging
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler, Profiler
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.utilities import rank_zero_only

from arclight.errors import UserError
from arclight.libraries.lightning import disable_signal_handling, require_names
from arclight.libraries.lightning_loops import settle_loops
from arclight.libraries.lightning_results import require_results
from arclight.ranges import Count, Duration, Natural, NonNegative, Part, Share
from arclight.training.checkpoint_io import WholeCheckpointIO
from arclight.training.checkpoints import Checkpoints

Precision = Literal[
    "auto",
    "32-true",
    "32",
    "64-true",
    "64",
    "bf16-mixed",
    "16-mixed",
    "bf16-true",
    "16-true",
    "transformer-engine",
    "transformer-engine-float16",
]


class NoProfiler(PassThroughProfiler):
    """Does nothing, without overhead; Lightning's default creates a generator for each hook."""

    _nothing = nullcontext("")

    def profile(self, action_name: str) -> AbstractContextManager[str]:  # type: ignore[override]
        return self._nothing


def make_trainer(
    run_dir: Path,
    callbacks: list[Callback],
    loggers: list[Logger],
    deterministic: bool | Literal["warn"],
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "cpu",
    devices: Count | Literal["auto", -1] | list[Natural] = 1,
    num_nodes: Count = 1,
    strategy: str | Strategy = "auto",
    sharded_checkpoints: bool = False,
    precision: Precision = "32-true",
    float8: bool = False,
    max_epochs: Count | Literal[-1, "auto"] | None = None,
    min_epochs: Count | None = None,
    max_steps: Count | Literal[-1] = -1,
    min_steps: Count | None = None,
    max_time: Duration | dict[str, int] | None = None,
    fast_dev_run: bool | Count = False,
    overfit_batches: Natural | Share = 0.0,
    gradient_clip_val: NonNegative | None = None,
    gradient_clip_algorithm: Literal["norm", "value"] | None = None,
    accumulate_grad_batches: Count = 1,
    check_val_every_n_epoch: Count | None = 1,
    val_check_interval: Count | Part = 1.0,
    num_sanity_val_steps: Natural | Literal[-1] = 0,
    limit_train_batches: Count | Part = 1.0,
    limit_val_batches: Natural | Share = 1.0,
    limit_test_batches: Natural | Share = 1.0,
    limit_predict_batches: Natural | Share = 1.0,
    log_every_n_steps: Count = 50,
    reload_dataloaders_every_n_epochs: Natural = 0,
    sync_batchnorm: bool = False,
    benchmark: bool | None = None,
    inference_mode: bool = True,
    enable_autolog_hparams: bool = False,
    detect_anomaly: bool = False,
    profiler: Literal["simple", "advanced", "pytorch"] | Profiler | None = None,
    plugins: list[Any] | None = None,
) -> L.Trainer:
    """Creates the trainer of a run.

    Arguments have Lightning's names and meanings. The run itself provides the progress bar, the
    checkpoints and the loggers; data modules distribute the data among processes themselves.

    Args:
        run_dir: the run directory.
        callbacks: all callbacks, including `Checkpoints`.
        loggers: all loggers.
        sharded_checkpoints: with `fsdp`, each process writes its own shard.
        float8: multiply in float8 in the linear layers.

    Raises:
        UserError: the settings cannot be combined, or the hardware does not support them.
    """
    assert not isinstance(max_epochs, str), "the data have chosen it"
    checkpoints = [c for c in callbacks if isinstance(c, Checkpoints)]
    asynchronous = any(c.asynchronous for c in checkpoints)
    resolved = resolve_precision(precision, accelerator)
    if float8:
        from arclight.training.low_precision import require_float8

        require_float8()
    if strategy == "fsdp":
        _require_shardable(callbacks, resolved, asynchronous and sharded_checkpoints)
    elif sharded_checkpoints:
        raise UserError(
            "trainer.sharded_checkpoints=true needs trainer.strategy=fsdp: "
            "type trainer.sharded_checkpoints=false."
        )
    if not torch.cuda.device_count():
        # Lightning queries the driver through NVML, which costs 0.2 ms per step without a device.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    torch.set_float32_matmul_precision("high")  # TF32 on GPUs that have it
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        trainer = L.Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            strategy=_strategy(strategy, resolved, sharded_checkpoints),
            precision=resolved,
            max_epochs=max_epochs if max_epochs is not None else (None if max_steps > 0 else -1),
            min_epochs=min_epochs,
            max_steps=max_steps,
            min_steps=min_steps,
            max_time=max_time,
            fast_dev_run=fast_dev_run,
            overfit_batches=overfit_batches,
            gradient_clip_val=gradient_clip_val,
            gradient_clip_algorithm=gradient_clip_algorithm,
            accumulate_grad_batches=accumulate_grad_batches,
            check_val_every_n_epoch=check_val_every_n_epoch,
            val_check_interval=val_check_interval,
            num_sanity_val_steps=num_sanity_val_steps,
            limit_train_batches=limit_train_batches,
            limit_val_batches=limit_val_batches,
            limit_test_batches=limit_test_batches,
            limit_predict_batches=limit_predict_batches,
            log_every_n_steps=log_every_n_steps,
            reload_dataloaders_every_n_epochs=reload_dataloaders_every_n_epochs,
            sync_batchnorm=sync_batchnorm,
            detect_anomaly=detect_anomaly,
            profiler=profiler or NoProfiler(),
            deterministic=deterministic,
            benchmark=not deterministic if benchmark is None else benchmark,
            inference_mode=inference_mode,
            enable_autolog_hparams=enable_autolog_hparams,
            default_root_dir=run_dir,
            callbacks=callbacks,
            logger=loggers,
            plugins=[WholeCheckpointIO(asynchronous), _environment(), *(plugins or [])],
            use_distributed_sampler=False,
            enable_checkpointing=bool(checkpoints),
            enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
            enable_model_summary=False,
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(
            f"Lightning's Trainer rejects the trainer.* settings: {' '.join(str(error).split())}"
        ) from error
    require_names(trainer)
    require_results()
    settle_loops(trainer)
    disable_signal_handling(trainer)
    return trainer


DDP_UNUSED_PARAMETERS = "ddp_find_unused_parameters_true"
"""Lightning's name of DDP for steps in which some parameters get no gradient."""

# Environment variables with which other launchers describe a distributed job to its processes.
LAUNCHER_VARIABLES = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
)


def _environment() -> ClusterEnvironment:
    """The cluster environment: torchrun's if it started this process, else a single process.

    Inside a shell of a SLURM or Kubernetes job, Lightning would guess from environment variables
    that this process is one of several.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    for name in LAUNCHER_VARIABLES:
        os.environ.pop(name, None)
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # set from these variables at import
    return LightningEnvironment()


def _strategy(
    strategy: str | Strategy, precision: str, sharded_checkpoints: bool
) -> Strategy | str:
    """The strategy of that name, with suitable options; a `Strategy` object is returned as is."""
    if strategy == "fsdp":
        from arclight.training.sharding import FullyShardedStrategy  # a second to import

        return FullyShardedStrategy(precision == "bf16-mixed", sharded_checkpoints)
    if strategy in ("ddp", DDP_UNUSED_PARAMETERS):
        # Gradients are views of the communication buckets: no copy and no second set in memory.
        unused = strategy == DDP_UNUSED_PARAMETERS
        return DDPStrategy(gradient_as_bucket_view=True, find_unused_parameters=unused)
    return strategy


def _require_shardable(
    callbacks: list[Callback], precision: str, sharded_and_asynchronous: bool
) -> None:
    """Raises `UserError` if fsdp does not support the config.

    Args:
        sharded_and_asynchronous: whether checkpoints should be both.
    """
    if any(isinstance(c, WeightAveraging) for c in callbacks):
        raise UserError(
            "callbacks.ema.decay keeps a full copy of the weights, but trainer.strategy=fsdp "
            "shards them: type callbacks.ema.decay=null, or trainer.strategy=ddp."
        )
    if precision == "16-mixed":
        raise UserError(
            "trainer.strategy=fsdp does not support the loss scaling of "
            "trainer.precision=16-mixed: type trainer.precision=bf16-mixed or 32-true, or "
            "trainer.strategy=ddp."
        )
    if sharded_and_asynchronous:
        raise UserError(
            "callbacks.checkpoints.asynchronous=true writes from one process, "
            "trainer.sharded_checkpoints=true from all: set one of them to false."
        )


def resolve_precision(precision: str, accelerator: str) -> Any:
    """Resolves `auto`: bf16 if the GPU supports it, else fp16; fp32 on CPUs.

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
    bf16 = accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    bf16 = bf16 and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if bf16 else "16-mixed"
