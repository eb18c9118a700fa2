"""Advice before training. Each line follows from the estimated costs and appears if it applies.

It follows five practices: use pretrained weights, match the architecture to the task, consider the
compute budget, scale the model with the data, and watch the memory.
"""

from collections.abc import Iterator
from typing import Any

import lightning as L
import torch

from arclight.costs.forecast import Preflight, duration, gib
from arclight.costs.step import Build, dry_step
from arclight.data.facts import Facts
from arclight.models.checks import has_batch_norm
from arclight.tasks.task import Task

# From scratch, small networks train well with one example per several hundred parameters. On
# ImageNet, a ResNet-50 has 20 parameters per example; a ViT-B has 68, and already needs strong
# augmentation. For text, 20 tokens per parameter are compute-optimal (Hoffmann et al., 2022); with
# less than one, a model memorises its training data.
MIN_EXAMPLES = 1e-3  # per parameter
MIN_TOKENS = 1.0  # per parameter
LONG = 24 * 3600  # seconds
USABLE = 0.95  # share of the free memory; the rest is lost to the allocator's fragmentation


def advice(
    config: dict[str, Any],
    facts: Facts,
    task: L.LightningModule,
    found: Preflight,
    device: torch.device,
    precision: str,
    build: Build,
) -> list[str]:
    """Sentences for the user; an empty list if there is no advice."""
    if not isinstance(task, Task):
        return []
    return [
        *_too_few_examples(config, facts, task, found),
        *_too_long(config, found, device),
        *_too_large(config, facts, task, found, device, precision, build),
        *too_large_in_evaluation(config, found),
    ]


def _too_few_examples(
    config: dict[str, Any], facts: Facts, task: Task, found: Preflight
) -> Iterator[str]:
    if not found.examples or "model" not in config:
        return
    tokens = task.tokens_per_example(facts)
    count, fewest = found.examples * (tokens or 1), MIN_TOKENS if tokens else MIN_EXAMPLES
    if config["model"].get("pretrained") or count >= fewest * found.trained:
        return
    unit = "tokens" if tokens else "examples"
    ways = ["a smaller model"]
    if "pretrained" in config["model"]:
        ways.insert(0, "pretrained weights (model.pretrained=NAME)")
    if "patch_size" in config["model"] and not tokens:
        ways.append("a convolutional network (model=resnet), which needs less data")
    yield (
        f"{found.trained:,} parameters will be trained on {count:,} {unit} and will probably "
        f"overfit: try {' or '.join(ways)}."
    )


def _too_long(config: dict[str, Any], found: Preflight, device: torch.device) -> Iterator[str]:
    seconds = found.least_seconds
    if seconds is None or seconds < LONG:
        return
    way = "a GPU (trainer=gpu)" if device.type == "cpu" else "more GPUs (trainer=ddp)"
    yield f"Training takes at least {duration(seconds)} here: try {way}, or fewer steps."


def _too_large(
    config: dict[str, Any],
    facts: Facts,
    task: Task,
    found: Preflight,
    device: torch.device,
    precision: str,
    build: Build,
) -> Iterator[str]:
    if found.step is None or found.free is None:
        return
    room = USABLE * found.free - found.extra
    if found.step.peak <= room:
        return
    ways = []
    per_example = found.step.activations / found.step.examples
    fitting = int((room - found.step.fixed) / per_example)
    world = found.parts // config["trainer"]["accumulate_grad_batches"]
    if fitting >= 1:
        cuts = (c for c in range(1, found.batch // world + 1) if found.batch % (c * world) == 0)
        cut = next((c for c in cuts if found.batch / (c * world) <= fitting), None)
        ways.append(f"data.batch_size={fitting * found.parts}")
        if cut:
            ways.append(f"trainer.accumulate_grad_batches={cut}, {in_parts(task)}")
    for words, kind, recompute in (
        ("trainer.precision=bf16-mixed", "bf16-mixed", False),
        ("model.activation_checkpointing=true", precision, True),
    ):
        changed = _step(config, facts, task, found, device, kind, recompute, build)
        if changed is not None and changed <= room and words.partition("=")[2] != precision:
            ways.append(words)
    if not ways and found.trained == found.parameters:
        ways += ["finetune=lora", "a smaller model"]
    yield (
        f"Training needs about {gib(found.step.peak + found.extra)}, but only {gib(found.free)} "
        f"are free: {' or '.join(ways or ['only a smaller model'])} would fit."
    )


def too_large_in_evaluation(config: dict[str, Any], found: Preflight) -> Iterator[str]:
    """A sentence if the evaluation batch is too large, even if training fits."""
    if found.step is None or found.free is None:
        return
    room = USABLE * found.free - found.extra - found.step.fixed
    if not found.evaluation or found.evaluation <= room:
        return
    fitting = int(room / (found.evaluation / found.evaluated))
    if fitting < 1:  # training does not fit either, and there is other advice for that
        return
    world = found.parts // config["trainer"]["accumulate_grad_batches"]
    needed = found.evaluation + found.step.fixed + found.extra
    yield (
        f"Evaluation needs about {gib(needed)}, but only {gib(found.free)} are free: "
        f"data.eval_batch_size={fitting * world} would fit."
    )


def in_parts(task: L.LightningModule) -> str:
    """How accumulating gradients over parts of the batch changes a step, as a clause."""
    if isinstance(task, Task) and task.parts_differ:
        return f"the same step in parts, {task.parts_differ}"
    if has_batch_norm(task):
        return "the same step in parts, except that batch norm sees one part at a time"
    return "the same step in parts"


def _step(
    config: dict[str, Any],
    facts: Facts,
    task: Task,
    found: Preflight,
    device: torch.device,
    precision: str,
    recompute: bool,
    build: Build,
) -> int | None:
    """The peak memory of a step with one setting changed; None if it cannot be changed or known."""
    assert found.step is not None
    if recompute:
        if config["model"].get("activation_checkpointing") is not False:
            return None
        model = {**config["model"], "activation_checkpointing": True}
        if "pretrained" in model:
            model["pretrained"] = None
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            task = build({**config, "model": model}, facts)
    accumulate = config["trainer"]["accumulate_grad_batches"] > 1
    examples = found.step.examples
    try:
        return dry_step(task, facts, examples, device.type, precision, accumulate).peak
    except Exception:  # without an estimate there is no advice
        return None
