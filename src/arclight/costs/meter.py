"""Counts the arithmetic and the memory of whatever runs under it, operation by operation."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from arclight.libraries.pytorch import TorchDispatchMode, attention_formulas

aten = torch.ops.aten
FORMULAS: dict[Any, Callable[..., int]] = {**attention_formulas(flop_registry), **flop_registry}


class MemoryLimitError(Exception):
    """What runs under a meter needs more memory than it was allowed."""


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Floating-point operations and bytes of the tensors that operations make under it.

    A multiply-add counts two, as torch counts it; attention counts in full, masked or not. Each
    storage counts once, from the operation that makes it until nothing holds it any more, be it a
    variable or what autograd has saved. Real tensors and fake ones (shapes without numbers) count
    alike. What a kernel allocates and frees by itself is not seen, except for the copies that the
    backward pass of a convolution on CPUs makes of its weights.

    Attributes:
        flops: of all operations.
        recomputed: of these, what activation checkpointing does a second time.
        live: bytes that are held now; `peak`: the most so far.

    Args:
        limit: bytes; None: any number. Past it, `MemoryLimitError` is raised.
        on_cpu: the tensors are, or stand for, those of a CPU.
    """

    def __init__(self, limit: int | None = None, on_cpu: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit, self.on_cpu = limit, on_cpu
        self.flops = self.recomputed = 0
        self.live = self.peak = 0
        self.backward = False  # set by the caller: gradients are off then, except to recompute
        self._held: dict[int, weakref.ref[Any]] = {}

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Counts tensors that were made before."""
        for tensor in tensors:
            self._see(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = FORMULAS.get(func.overloadpacket)
        if formula is not None:
            count = formula(*args, **kwargs, out_val=out)
            self.flops += count
            if self.backward and torch.is_grad_enabled():
                self.recomputed += count
        if isinstance(out, Tensor):
            self._see(out)
        elif isinstance(out, tuple | list):
            for one in out:
                if isinstance(one, Tensor):
                    self._see(one)
        if self.on_cpu and func is aten.convolution_backward.default:
            self._reach(self.live + 2 * args[2].untyped_storage().nbytes())  # measured: two
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)  # torch gives a storage the same object as long as it lives
        if key in self._held:
            return
        size = storage.nbytes()

        def freed(_: Any) -> None:
            del self._held[key]
            self.live -= size

        self._held[key] = weakref.ref(storage, freed)
        self.live += size
        self._reach(self.live)

    def _reach(self, size: int) -> None:
        self.peak = max(self.peak, size)
        if self.limit is not None and size > self.limit:
            raise MemoryLimitError
