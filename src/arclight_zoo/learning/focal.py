"""Focal loss (Lin et al., 2017): cross-entropy that down-weights easy examples."""

import torch
from torch import Tensor, nn

from arclight.ranges import NonNegative


class FocalLoss(nn.Module):
    """`-(1 - p) ** gamma * log(p)`, where p is the probability of the right class.

    With `gamma=0` it equals `torch.nn.CrossEntropyLoss`, also with weights and soft targets. The
    mean is weighted as there: by class weight for class targets, unweighted for soft targets.

    Args:
        gamma: how strongly easy examples are down-weighted; the paper's best is 2.
        weight: of each class, `(classes,)`, the paper's alpha; None: equal weights.
    """

    weight: Tensor | None

    def __init__(self, gamma: NonNegative = 2.0, weight: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss, `()`.

        Args:
            logits: `(batch, classes)`.
            targets: classes `(batch,)`, or class probabilities `(batch, classes)`.
        """
        log_p = logits.float().log_softmax(1)
        # 1 - p, accurate also for p near 1. The clamp keeps gradients finite for gamma below 1.
        missing = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).eps)
        each = -(missing**self.gamma) * log_p
        if self.weight is not None:
            each = each * self.weight
        if targets.is_floating_point():
            return (targets * each).sum(1).mean()
        right = each.gather(1, targets[:, None])
        return right.mean() if self.weight is None else right.sum() / self.weight[targets].sum()
