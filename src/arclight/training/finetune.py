"""Which weights of a model are trained, where not all."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from arclight.errors import UserError
from arclight.models.transformer import SelfAttention
from arclight.ranges import Count, Share

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


FUSED = "in_proj_weight"
"""The one parameter of queries, keys and values in the project's own attention."""


class LowRank(nn.Module):
    """A weight and, beside it, the product of two small matrices, as a parametrization.

    peft adapts a bare parameter too, but puts its parametrization on and off in each forward pass:
    slow, and a break in what `torch.compile` sees.

    Args:
        shape: of the weight, (out, in).
        rank: of the matrices.
        scale: the product counts so much.
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
    """Freezes the model and adds low-rank matrices to its linear layers; the head is trained too.

    The project's own attention has queries, keys and values in one parameter, `in_proj_weight`,
    which gets matrices like a layer.

    Args:
        rank: of the matrices.
        alpha: they count `alpha / rank`.
        dropout: of their inputs; those of `in_proj_weight` have none.
        targets: the last parts of the layers' names; None: all linear layers but the head.

    A layer that shares the token embedding's weights is left alone: what is merged into it would
    change the embedding as well.

    Raises:
        UserError: no layer has such a name, or there is no linear layer.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layers, stored transposed

    heads = heads_of(model)
    head = heads[-1] if heads else None  # what embeds images and texts has none
    kinds = nn.Linear, Conv1D
    tied = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    linear = {
        n
        for n, m in model.named_modules()
        if isinstance(m, kinds) and n != head and id(m.weight) not in tied
    }
    fused = [m for m in model.modules() if isinstance(m, SelfAttention)]
    known = sorted({n.rpartition(".")[2] for n in linear} | ({FUSED} if fused else set()))
    chosen = {n for n in linear if targets is None or n.rpartition(".")[2] in targets}
    fused = fused if targets is None or FUSED in targets else []
    if not known:
        raise UserError(
            f"{type(model).__name__} has no linear layer beside its head that finetune=lora could "
            "adapt: type finetune=full or finetune=head_only."
        )
    if not chosen and not fused:
        raise UserError(
            f"finetune.targets={targets} names no linear layer of the model: "
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
            # peft sets it for each layer by its kind, and says so: GPT-2's are Conv1D, ViT's Linear
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to")
            inject_adapter_in_model(config, model)
    for attention in fused:
        weight = attention.in_proj_weight
        with weight.device:
            small = LowRank(weight.shape, rank, alpha / rank)
        parametrize.register_parametrization(attention, FUSED, small)
        weight.requires_grad_(False)
    for parameter in shared:  # a head that is also the embedding stays frozen
        parameter.requires_grad_(id(parameter) not in tied)
    return model


def merge_adapters(model: nn.Module) -> nn.Module:
    """The same model with what `lora` added put into its weights, under their plain names."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            model.set_submodule(name, module.get_base_layer())
        elif isinstance(module, SelfAttention) and parametrize.is_parametrized(module, FUSED):
            parametrize.remove_parametrizations(module, FUSED)
    return model


def heads_of(model: nn.Module) -> list[str]:
    """The names of what may be the last layer, in order."""
    return [n for n, _ in model.named_modules() if n.rpartition(".")[2] in HEADS]


def find_head(model: nn.Module) -> str:
    """The name of the last layer.

    Raises:
        UserError: there is none by a usual name.
    """
    found = heads_of(model)
    if not found:
        raise UserError(
            f"{type(model).__name__} has no layer called {', '.join(HEADS)}, so its head is not "
            "known: type finetune=full."
        )
    return found[-1]
