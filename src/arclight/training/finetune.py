"""Which weights of a model are trained, where not all."""

from collections.abc import Sequence

from torch import nn

from arclight.errors import UserError

HEADS = ("head", "classifier", "fc", "score", "lm_head")
"""What the last layer is called, in the project's models, timm's and transformers'."""


def head_only(model: nn.Module) -> nn.Module:
    """Freezes all but the head.

    Raises:
        UserError: the model has no head by a usual name.
    """
    head = find_head(model)
    model.requires_grad_(False)
    model.get_submodule(head).requires_grad_(True)
    return model


def lora(
    model: nn.Module,
    rank: int = 8,
    alpha: int = 16,
    dropout: float = 0.0,
    targets: Sequence[str] | None = None,
) -> nn.Module:
    """Freezes the model and adds low-rank matrices to its linear layers; the head is trained too.

    Args:
        rank: of the matrices.
        alpha: they count `alpha / rank`.
        dropout: of their inputs.
        targets: the last parts of the layers' names; None: all linear layers but the head.

    Raises:
        UserError: no layer has such a name.
    """
    from peft import LoraConfig, inject_adapter_in_model

    head = find_head(model)
    linear = {n for n, m in model.named_modules() if isinstance(m, nn.Linear) and n != head}
    chosen = {n for n in linear if targets is None or n.rpartition(".")[2] in targets}
    if not chosen:
        known = sorted({name.rpartition(".")[2] for name in linear})
        raise UserError(
            f"finetune.targets={targets} names no linear layer of the model: "
            f"choose from {', '.join(known)}."
        )
    shared = list(model.get_submodule(head).parameters())
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=sorted(chosen)
    )
    model.requires_grad_(False)
    inject_adapter_in_model(config, model)
    tied = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    for parameter in shared:  # a head that is also the embedding stays frozen
        parameter.requires_grad_(id(parameter) not in tied)
    return model


def find_head(model: nn.Module) -> str:
    """The name of the last layer.

    Raises:
        UserError: there is none by a usual name.
    """
    found = [n for n, _ in model.named_modules() if n.rpartition(".")[2] in HEADS]
    if not found:
        raise UserError(
            f"{type(model).__name__} has no layer called {', '.join(HEADS)}, so its head is not "
            "known: type finetune=full."
        )
    return str(found[-1])
