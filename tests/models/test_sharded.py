"""Processes of a sharded model generate texts together until all of them are done."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from arclight.training.sharding import FullyShardedStrategy
from arclight_zoo.image_text.blip import BLIP
from arclight_zoo.nets.auto import Captioner
from arclight_zoo.text.gpt import GPT
from arclight_zoo.text.llama import Llama
from arclight_zoo.text.t5 import T5

LENGTH = 8
SIZES: dict[str, Any] = {"vocab_size": 20, "d_model": 16, "n_heads": 2, "n_layers": 2}
TOWERS: dict[str, int] = {
    f"{tower}_{key}": value
    for tower in ("image", "text")
    for key, value in (("d_model", 16), ("n_heads", 2), ("n_layers", 1))
}


def shaken(model: nn.Module) -> Any:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def captioner() -> nn.Module:
    from tests.checkpoints import vit_gpt2

    return Captioner(vit_gpt2())


MODELS: dict[str, Any] = {
    "t5": lambda: T5(**SIZES, pad=0),
    "gpt": lambda: GPT(**SIZES, context=32),
    "llama": lambda: Llama(**SIZES, context=32),
    "blip": lambda: BLIP(8, 3, 4, 20, LENGTH + 1, 0, 2, 3, **TOWERS),
    "auto": captioner,
}


def made(name: str, model: Any, row: Tensor, stop: int) -> list[int]:
    """The tokens generated for one row, up to the stop token."""
    if name in ("blip", "auto"):
        out = model.generate(row, LENGTH, stop)
    elif name == "t5":
        out = model.generate(row, torch.ones_like(row, dtype=torch.bool), LENGTH, stop)
    else:
        out = model.generate(row, LENGTH, temperature=0, stop=stop)[:, row.shape[1] :]
    tokens: list[int] = out[0].tolist()
    return tokens[: tokens.index(stop) + 1] if stop in tokens else tokens


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{folder}/meet", timedelta(minutes=5), world_size=2, rank=rank
    )
    strategy = FullyShardedStrategy(half=False, sharded_checkpoints=False)
    strategy._device_mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("data_parallel",))
    for name, make in MODELS.items():
        model = shaken(make())
        rows = torch.randint(4, 20, (8, 1, 6)) if name in ("t5", "gpt", "llama") else None
        rows = torch.randn(8, 1, 3, 8, 8) if rows is None else rows
        stop, short, long = of_different_lengths(name, model, rows)
        own = short if rank == 0 else long
        expected = made(name, model, own, stop)
        strategy.shard(model)
        assert made(name, model, own, stop) == expected, name
    dist.destroy_process_group()


def of_different_lengths(name: str, model: Any, rows: Tensor) -> tuple[int, Tensor, Tensor]:
    """A stop token, a row that reaches it early, and one that reaches it late."""
    free = [made(name, model, row, 0) for row in rows]
    lengths = {
        token: [row.index(token) if token in row else len(row) for row in free]
        for token in range(1, 20)
    }
    stop = max(lengths, key=lambda token: max(lengths[token]) - min(lengths[token]))
    short, long = (lengths[stop].index(end(lengths[stop])) for end in (min, max))
    assert lengths[stop][short] < lengths[stop][long]
    return stop, rows[short], rows[long]


@pytest.mark.slow
def test_finished_process_waits_for_the_others(tmp_path: Path) -> None:
    mp.spawn(process, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
