"""Training only some of a model's weights: the head, or low-rank adapters (LoRA)."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from arclight.errors import UserError
from arclight.models.heads import find_head, heads_of
from arclight.ranges import Count, Share


def head_only(model: nn.Module) -> nn.Module:
    """Freezes all weights except those of the head.

    Raises:
        UserError: the model has no head under a known name.
    """
    head = find_head(model)
    model.requires_grad_(False)
    model.get_submodule(head).requires_grad_(True)
    return model


class LowRank(nn.Module):
    """A parametrization that adds the product of two small matrices to a weight.

    peft can adapt a bare parameter too, but it adds and removes its parametrization in each forward
    pass, which is slow and causes graph breaks in `torch.compile`.

    Args:
        shape: of the weight, `(out, in)`.
        rank: of the matrices.
        scale: factor of the product.
    """

    def __init__(self, shape: Sequence[int], rank: int, scale: float) -> None:
        super().__init__()
        out, into = shape
        self.scale = scale
        self.lora_A = nn.Parameter(torch.empty(rank, into))
        self.lora_B = nn.Parameter(torch.zeros(out, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))  # as peft does

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.lora_B @ self.lora_A)


def lora(
    model: nn.Module,
    rank: Count = 8,
    alpha: Count = 16,
    dropout: Share = 0.0,
    targets: Sequence[str] | None = None,
) -> nn.Module:
    """Freezes the model and adds low-rank matrices to its linear layers (Hu et al., 2022).

    The head is trained too. A module can list further weight matrices in `low_rank_weights`: for
    example, attention with queries, keys and values in one parameter. These are adapted as well.
    A layer that shares its weights with the token embedding is not adapted: merging the adapter
    would change the embedding too.

    Args:
        model: adapted in place.
        rank: of the matrices.
        alpha: the product of the matrices is scaled by `alpha / rank`.
        dropout: rate for the input of the matrices; `low_rank_weights` have no dropout.
        targets: the last parts of the layers' names; None: all linear layers except the head.

    Raises:
        UserError: no layer has such a name, or there is no linear layer.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layers, stored transposed

    heads = heads_of(model)
    head = heads[-1] if heads else None  # embedding models such as CLIP have none
    kinds = nn.Linear, Conv1D
    tied = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    linear = {
        n
        for n, m in model.named_modules()
        if isinstance(m, kinds) and n != head and id(m.weight) not in tied
    }
    bare = [(m, name) for m in model.modules() for name in getattr(m, "low_rank_weights", ())]
    known = sorted({n.rpartition(".")[2] for n in linear} | {name for _, name in bare})
    chosen = {n for n in linear if targets is None or n.rpartition(".")[2] in targets}
    bare = [(m, name) for m, name in bare if targets is None or name in targets]
    if not known:
        raise UserError(
            f"finetune=lora: {type(model).__name__} has no linear layer to adapt besides its head: "
            "type finetune=full or finetune=head_only."
        )
    if not chosen and not bare:
        raise UserError(
            f"finetune.targets={targets} matches no linear layer of the model: "
            f"choose from {', '.join(known)}."
        )
    shared = list(model.get_submodule(head).parameters()) if head else []
    model.requires_grad_(False)
    if chosen:
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=sorted(chosen),
        )
        with warnings.catch_warnings():
            # peft warns that it sets this by the layer's class: Conv1D in GPT-2, Linear in ViT
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to")
            inject_adapter_in_model(config, model)
    for module, name in bare:
        weight: Tensor = getattr(module, name)
        with weight.device:
            small = LowRank(weight.shape, rank, alpha / rank)
        parametrize.register_parametrization(module, name, small)
        weight.requires_grad_(False)
    for parameter in shared:  # a head that is also the embedding stays frozen
        parameter.requires_grad_(id(parameter) not in tied)
    return model


def merge_adapters(model: nn.Module) -> nn.Module:
    """Merges the matrices of `lora` into the weights, which get their original names back."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            model.set_submodule(name, module.get_base_layer())
            continue
        for weight in getattr(module, "low_rank_weights", ()):
            if parametrize.is_parametrized(module, weight):
                parametrize.remove_parametrizations(module, weight)
    return model
