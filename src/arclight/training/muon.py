"""One optimizer with Muon for a model's hidden matrices and AdamW for the other parameters."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from arclight.errors import UserError
from arclight.models.blocks import find_blocks
from arclight.models.sharded import is_shard
from arclight.ranges import Count, NonNegative, Positive, Share
from arclight.training.optimizers import decay_groups

Groups = list[dict[str, Any]]


class MuonWithAdamW(Optimizer):
    """torch's Muon and AdamW behind one `step`: they share this optimizer's groups and state.

    Args:
        matrices: parameters with two dimensions, for Muon.
        others: parameter groups for AdamW.
        muon: arguments of torch's Muon.
        adamw: arguments of torch's AdamW.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: Groups,
        muon: dict[str, Any],
        adamw: dict[str, Any],
    ) -> None:
        self.parts: tuple[Optimizer, ...] = (torch.optim.Muon(matrices, **muon),)
        if others:
            self.parts += (torch.optim.AdamW(others, **adamw),)
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Shares state and groups: the first group is Muon's, the others are AdamW's."""
        muon, *adamw = self.parts
        muon.param_groups = self.param_groups[:1]
        for part in adamw:
            part.param_groups = self.param_groups[1:]
        for part in self.parts:
            part.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)  # which replaces both
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss


def muon(
    model: nn.Module,
    fused: bool,
    lr: Positive = 1e-3,
    weight_decay: NonNegative = 0.1,
    momentum: Share = 0.95,
    nesterov: bool = True,
    ns_steps: Count = 5,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: Positive = 1e-8,
) -> Optimizer:
    """Muon (Jordan et al., 2024) for the matrices in the model's blocks, AdamW for the rest.

    Muon's updates are scaled to AdamW's size (Liu et al., 2025), so both use the learning rate and
    the weight decay that suit AdamW.

    Raises:
        UserError: the model has no matrices in blocks or is sharded, or torch is older than 2.9.
    """
    if not hasattr(torch.optim, "Muon"):
        raise UserError("optimizer=muon needs torch 2.9 or newer: type optimizer=adamw.")
    if any(is_shard(p) for p in model.parameters()):
        raise UserError(
            "optimizer=muon needs whole matrices, which trainer.strategy=fsdp shards: "
            "type trainer.strategy=ddp, or optimizer=adamw."
        )
    matrices = hidden_matrices(model)
    if not matrices:
        raise UserError(
            f"optimizer=muon is for the matrices in blocks, and {type(model).__name__} has no "
            "trained ones (convolution kernels are not matrices): type optimizer=adamw."
        )
    with_muon = {id(p) for p in matrices}
    others: Groups = []
    for group in decay_groups(model, weight_decay, lr):
        members = [p for p in group["params"] if id(p) not in with_muon]  # type: ignore[attr-defined]
        if members:
            others.append({**group, "params": members})
    return MuonWithAdamW(
        matrices,
        others,
        muon={
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "adjust_lr_fn": "match_rms_adamw",
        },
        adamw={"lr": lr, "betas": (betas[0], betas[1]), "eps": eps, "fused": fused},
    )


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The trained matrices in the model's blocks, except embeddings."""
    found: dict[int, nn.Parameter] = {}
    for block in find_blocks(model):
        tables = {id(m.weight) for m in block.modules() if isinstance(m, nn.Embedding)}
        for p in block.parameters():
            if p.requires_grad and p.ndim == 2 and id(p) not in tables:
                found[id(p)] = p
    return list(found.values())
