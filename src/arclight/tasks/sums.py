"""Sums of training metrics that stay on the device until they are read."""

import math

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Sums"]


class Sums:
    """Running sums of a few per-example figures, on the device: adding never waits for it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._total: Tensor | None = None
        self._examples = 0
        self._marked: tuple[Tensor | None, int] = (None, 0)

    def add(self, *values: Tensor, examples: int) -> None:
        """Adds sums over `examples` examples, one 0-d tensor for each name."""
        new = torch.stack([v.detach().float() for v in values])
        self._total = new if self._total is None else self._total.add_(new)
        self._examples += examples

    def read(self) -> tuple[dict[str, float], int]:
        """Means and number of examples since the last `clear`, over all processes.

        This is the one place that waits for the device; all processes come here together.
        """
        states = self.state()
        if states is None:
            return {}, 0
        *sums, count = (math.fsum(column) for column in zip(*states, strict=True))
        return {n: s / count for n, s in zip(self.names, sums, strict=True)}, int(count)

    def clear(self) -> None:
        self._total, self._examples = None, 0

    def mark(self) -> None:
        """Remembers what they are, for `rewind`."""
        self._marked = (None if self._total is None else self._total.clone(), self._examples)

    def rewind(self) -> None:
        """Takes back what was added since `mark`."""
        self._total, self._examples = self._marked

    def state(self) -> list[list[float]] | None:
        """The sums of each process and, last, its number of examples, for a checkpoint."""
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
        """Takes this process's share of a checkpoint's sums.

        Sums are kept apart by process, since adding them up in another order rounds differently.
        """
        self.clear()
        if states and rank < len(states):
            *sums, examples = states[rank]
            self._total, self._examples = torch.tensor(sums, device=device), int(examples)
