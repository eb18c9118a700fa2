"""Counts FLOPs and memory of the operations that run within it."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from arclight.libraries.pytorch import TorchDispatchMode, attention_formulas

aten = torch.ops.aten
FORMULAS: dict[Any, Callable[..., int]] = {**attention_formulas(flop_registry), **flop_registry}


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts floating-point operations, and the bytes of tensors that operations create.

    A multiply-add counts as two operations, as in torch; attention counts in full, masked or not.
    Each storage counts once, from its creation until it is freed, whether a variable or autograd
    keeps it alive. Real and fake tensors (shapes without values) count in the same way. Temporary
    memory inside kernels is not counted, except the copies of the weights in the backward pass of a
    convolution on CPUs.

    Attributes:
        flops: of all operations.
        recomputed: the part of `flops` that activation checkpointing computes a second time.
        live: bytes in use; `peak`: the maximum so far.

    Args:
        on_cpu: the tensors are on a CPU, or represent CPU tensors.
    """

    def __init__(self, on_cpu: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.on_cpu = on_cpu
        self.flops = self.recomputed = 0
        self.live = self.peak = 0
        self.backward = False  # set by the caller; autograd is then on only while recomputing
        self._held: dict[int, weakref.ref[Any]] = {}

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
            self._reach(
                self.live + 2 * args[2].untyped_storage().nbytes()
            )  # two copies, as measured
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)  # torch returns the same object for a storage as long as it exists
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
