"""Sums of training metrics, which stay on the device until they are read."""

import math

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Sums"]


class Sums:
    """Running sums of per-example metrics on the device; adding never waits for it.

    Args:
        names: of the metrics.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._total: Tensor | None = None
        self._examples = 0
        self._marked: tuple[Tensor | None, int] = (None, 0)

    def add(self, *values: Tensor, examples: int) -> None:
        """Adds the sums of a batch of `examples` examples: one tensor `()` for each name."""
        new = torch.stack([v.detach().float() for v in values])
        self._total = new if self._total is None else self._total.add_(new)
        self._examples += examples

    def read(self) -> tuple[dict[str, float], int]:
        """Means and number of examples since the last `clear`, over all processes.

        Waits for the device. A collective call: every process must take part.
        """
        states = self.state()
        if states is None:
            return {}, 0
        *sums, count = (math.fsum(column) for column in zip(*states, strict=True))
        return {n: s / count for n, s in zip(self.names, sums, strict=True)}, int(count)

    def clear(self) -> None:
        self._total, self._examples = None, 0

    def mark(self) -> None:
        """Remembers the current sums, for `rewind`."""
        self._marked = (None if self._total is None else self._total.clone(), self._examples)

    def rewind(self) -> None:
        """Restores the sums at the last `mark`."""
        self._total, self._examples = self._marked

    def state(self) -> list[list[float]] | None:
        """For each process its sums and its number of examples, for a checkpoint."""
        if self._total is None:
            return None
        mine = torch.cat([self._total, self._total.new_tensor([self._examples])])
        every = [mine]
        if dist.is_initialized():
            every = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
            dist.all_gather(every, mine)
        state: list[list[float]] = torch.stack(every).tolist()
        return state

    def restore(self, states: list[list[float]] | None, rank: int, device: torch.device) -> None:
        """Restores this process's sums from a checkpoint.

        Each process keeps its own sums, because adding in another order rounds differently.
        """
        self.clear()
        if states and rank < len(states):
            *sums, examples = states[rank]
            self._total, self._examples = torch.tensor(sums, device=device), int(examples)
