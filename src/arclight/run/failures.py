"""What to do about failures of training, in a sentence."""

from pathlib import Path

import lightning as L
import torch

from arclight.data.module import DataModule
from arclight.run.assembly import Parts


def another_model(file: Path, error: Exception) -> str:
    return (
        f"The code makes another model than that of {file}: {str(error).splitlines()[-1].strip()} "
        "Put the code back to continue the run, or start a new one."
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
            f"type data.eval_batch_size={max(1, batch // 2)} for half of what a batch takes."
        )
    return (
        f"The device ran out of memory with data.batch_size={batch}{peak}; type "
        f"trainer.accumulate_grad_batches={cut * 2} for half the memory ({in_parts(parts.task)}), "
        "a smaller data.batch_size, trainer.precision=bf16-mixed, or, where the model has it, "
        "model.activation_checkpointing=true."
    )
