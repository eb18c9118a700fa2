"""Collect all predictions of an evaluation, for metrics that are not sums over batches."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Collected(Metric):
    """Predictions and targets, each `(examples, ...)`, of all batches and processes."""

    higher_is_better = None
    full_state_update = False
    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("predictions", "targets"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Adds a copy of a batch, since a compiled model may overwrite its outputs."""
        self.predictions.append(predictions.to(torch.float32, copy=True))
        self.targets.append(targets)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Predictions and targets on the CPU; examples are in arbitrary order."""
        return dim_zero_cat(self.predictions).cpu(), dim_zero_cat(self.targets).cpu()
