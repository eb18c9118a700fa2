"""Every optimizer of the config takes a step on sharded weights, or says that it cannot."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from arclight.errors import UserError
from arclight.training.configured import ConfiguredOptimizer
from tests.conftest import Composed, options


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    store = f"file://{tmp_path_factory.mktemp('group') / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def torchs(optimizer: str) -> dict[str, object]:
    return {"_target_": f"torch.optim.{optimizer}", "lr": 0.1}


@pytest.mark.parametrize("name", [*options("optimizer"), "Adagrad", "Adam", "SGD"])
def test_every_optimizer_takes_a_step_or_is_refused(
    composed: Composed, one_process: None, name: str
) -> None:
    known = name in options("optimizer")
    node = composed(f"optimizer={name}")["optimizer"] if known else torchs(name)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 4))
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    before = [p.full_tensor().clone() for p in model.parameters()]
    make = ConfiguredOptimizer(node)
    if name == "muon":
        with pytest.raises(UserError, match=r"needs whole matrices.*type trainer.strategy=ddp"):
            make(model, fused=True)
        return
    optimizer = make(model, fused=True)
    model(torch.randn(8, 256)).square().mean().backward()
    optimizer.step()
    after = [p.full_tensor() for p in model.parameters()]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
