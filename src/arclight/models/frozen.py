"""Find the modules of a model that stay in evaluation mode while others are trained."""

from torch import nn


def frozen_parts(model: nn.Module) -> list[nn.Module]:
    """Returns the modules that stay in evaluation mode during training; empty if none is frozen.

    Norms of frozen weights keep their running statistics. Dropout is off in all modules before the
    first trained weight, in the order of the model; a dropout directly before a trained head stays
    on. A model with adapters, which are in all layers, keeps its dropout.
    """
    found: list[nn.Module] = []
    waiting: list[nn.Module] = []  # modules without weights, until the next weights are known
    first = not has_adapters(model)  # no trained weight has come yet
    frozen = False  # whether the last weights were frozen

    def visit(module: nn.Module) -> None:
        nonlocal first, frozen
        norms = [m for m in module.modules() if hasattr(m, "running_mean")]
        weights = list(module.parameters())
        if any(p.requires_grad for p in weights):
            if any(p.requires_grad for p in module.parameters(recurse=False)):
                first = frozen = False
            for child in module.children():
                visit(child)
        elif weights:
            found.extend([*waiting, module] if first else norms)
            waiting.clear()
            frozen = True
        elif frozen and norms:
            found.extend(norms)
        elif first:
            waiting.append(module)

    visit(model)
    return found


def has_adapters(model: nn.Module) -> bool:
    """Whether the model has LoRA adapters (`finetune=lora`)."""
    return any("lora_" in name for name, _ in model.named_parameters())
