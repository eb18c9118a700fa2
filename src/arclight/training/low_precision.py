"""8-bit training with torchao: optimizer states, and float8 matrix products."""

from typing import Any

import torch
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.ranges import NonNegative, Positive
from arclight.training.optimizers import decay_groups

FLOAT8_SINCE = (8, 9)  # compute capability of Ada; Hopper has 9.0
EIGHT_BIT = ("codes", "scale", "qmap", "signed", "dtype")


def adamw_8bit(
    model: nn.Module,
    fused: bool,
    lr: Positive = 1e-3,
    weight_decay: NonNegative = 0.05,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: Positive = 1e-8,
    layer_decay: Positive = 1.0,
) -> torch.optim.Optimizer:
    """Torchao's AdamW with block-wise 8-bit moments (Dettmers et al., 2022).

    Its step is compiled, so the first one is slow; tensors below 4096 elements stay in 32 bits.

    Raises:
        UserError: torchao is not installed.
    """
    require_torchao("optimizer=adamw_8bit")
    from torchao.optim import AdamW8bit  # type: ignore[import-untyped]
    from torchao.optim.subclass_8bit import OptimState8bit  # type: ignore[import-untyped]

    def plain(value: Any) -> Any:
        if not isinstance(value, OptimState8bit):
            return value
        return {name: getattr(value, name) for name in EIGHT_BIT}

    def eight_bit(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return OptimState8bit(*(value[name] for name in EIGHT_BIT))

    class PlainStates(AdamW8bit):  # type: ignore[misc]
        """With state dicts of plain tensors, which `torch.load(weights_only=True)` can read."""

        def state_dict(self) -> dict[str, Any]:
            state: dict[str, Any] = super().state_dict()
            return {**state, "state": _each(state["state"], plain)}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict({**state_dict, "state": _each(state_dict["state"], eight_bit)})

    groups = decay_groups(model, weight_decay, lr, layer_decay)
    optimizer: torch.optim.Optimizer = PlainStates(
        groups, lr=lr, betas=(betas[0], betas[1]), eps=eps
    )
    return optimizer


def _each(state: dict[int, dict[str, Any]], convert: Any) -> dict[int, dict[str, Any]]:
    return {i: {k: convert(v) for k, v in values.items()} for i, values in state.items()}


def use_float8(model: nn.Module, emulate: bool = False) -> None:
    """Makes the linear layers multiply in float8, in place; the weights keep their dtype.

    The last layer, and layers with a side that is not a multiple of 16, are not changed (torchao's
    float8 training, after Micikevicius et al., 2022).

    Args:
        emulate: emulate float8 on a device without it.

    Raises:
        UserError: torchao is not installed.
    """
    require_torchao("trainer.float8=true")
    from torchao.float8 import (  # type: ignore[import-untyped]
        Float8LinearConfig,
        convert_to_float8_training,
    )

    linear = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]

    def fits(module: nn.Module, name: str) -> bool:
        weight = module.weight
        assert isinstance(weight, Tensor)
        return name != linear[-1] and all(side % 16 == 0 for side in weight.shape)

    config = Float8LinearConfig(emulate=emulate)
    convert_to_float8_training(model, module_filter_fn=fits, config=config)


def require_float8() -> None:
    """Raises `UserError` if the device cannot multiply in float8."""
    found = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
    if found is None or found < FLOAT8_SINCE:
        there = f"compute capability {found[0]}.{found[1]}" if found else "no CUDA device"
        raise UserError(
            "trainer.float8=true needs a GPU of compute capability 8.9 or more (Ada, Hopper), and "
            f"this machine has {there}: type trainer.float8=false."
        )


def require_torchao(wanted: str) -> None:
    """Raises `UserError` if torchao is not installed."""
    from importlib.util import find_spec

    if find_spec("torchao") is None:
        raise UserError(f'{wanted} needs torchao: pip install "torchao>=0.15".')
