"""Which parts of a model stay as they are while others are trained."""

from torch import nn


def frozen_parts(model: nn.Module) -> list[nn.Module]:
    """What stays as it is in evaluation while the rest is trained; none where nothing is frozen.

    Norms that go with frozen weights keep their running statistics. All that lies before the first
    weight that is trained, in the order of the model, has no dropout either; one between it and
    what is frozen, as of a head, has. A model with adapters, which are everywhere, keeps its
    dropout.
    """
    found: list[nn.Module] = []
    waiting: list[nn.Module] = []  # those without weights, until it is known what comes next
    first = not has_adapters(model)  # nothing that is trained has come yet
    frozen = False  # what came last

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
    """Whether `finetune=lora` has been here."""
    return any("lora_" in name for name, _ in model.named_parameters())
