"""Lightning's Trainer, with the parts that a run directory brings itself."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler

from arclight.errors import UserError
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
    devices: int | Literal["auto"] = 1,
    num_nodes: int = 1,
    strategy: Literal["auto", "ddp"] = "auto",
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "32-true",
    max_epochs: int | None = None,
    max_steps: int = -1,
    gradient_clip_val: float | None = None,
    accumulate_grad_batches: int = 1,
    check_val_every_n_epoch: int | None = 1,
    val_check_interval: int | float = 1.0,
    limit_train_batches: int | float = 1.0,
    limit_val_batches: int | float = 1.0,
    limit_test_batches: int | float = 1.0,
    log_every_n_steps: int = 50,
    detect_anomaly: bool = False,
    profiler: Literal["simple", "advanced", "pytorch"] | None = None,
) -> L.Trainer:
    """The trainer of a run.

    The bar, the checkpoints and the loggers are the run's own; the data modules share the data
    among processes themselves.
    """
    checkpoints = [c for c in callbacks if isinstance(c, Checkpoints)]
    asynchronous = any(c.asynchronous for c in checkpoints)
    if not torch.cuda.device_count():
        # Lightning asks the driver through NVML, which without a device costs each step 0.2 ms.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    torch.set_float32_matmul_precision("high")  # TF32 where there is such a thing
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return L.Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        precision=resolve_precision(precision, accelerator),
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
        plugins=[WholeCheckpointIO(asynchronous)],
        use_distributed_sampler=False,
        enable_checkpointing=bool(checkpoints),
        enable_progress_bar=False,
        enable_model_summary=False,
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
