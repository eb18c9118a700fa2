"""The predictions of a test, for each example."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Predictions"]

COLUMNS = ("target", "prediction", "score")


class Predictions:
    """Targets, predictions and scores of a test, kept on the device until the test ends."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world
        self._batches: list[tuple[Tensor, ...]] = []

    def add(self, targets: Tensor, predictions: Tensor, scores: Tensor) -> None:
        """Adds a batch: three tensors `(batch,)`; never waits for the device."""
        batch = (targets, predictions, scores.float())
        self._batches.append(tuple(t.detach().clone() for t in batch))

    def table(self) -> dict[str, NDArray[Any]] | None:
        """The columns `id`, `target`, `prediction` and `score` of all processes, sorted by id.

        None if nothing was added. The id is the example's index in the test set: process r of w
        reads the indices r, r + w, ...
        """
        mine: dict[str, NDArray[Any]] = {}
        for i, name in enumerate(COLUMNS if self._batches else ()):
            mine[name] = torch.cat([batch[i] for batch in self._batches]).cpu().numpy()
        if mine:
            mine = {"id": self.rank + self.world * np.arange(len(mine["target"])), **mine}
        shares: list[dict[str, NDArray[Any]]] = [mine]
        if dist.is_initialized() and self.world > 1:
            shares = [{} for _ in range(self.world)]
            dist.all_gather_object(shares, mine)
        shares = [share for share in shares if share]
        if not shares:
            return None
        joined = {name: np.concatenate([share[name] for share in shares]) for name in shares[0]}
        order = np.argsort(joined["id"], kind="stable")
        return {name: column[order] for name, column in joined.items()}
