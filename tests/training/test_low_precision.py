"""8-bit training with torchao, if installed: plain checkpoints and unchanged names."""

from importlib import util
from pathlib import Path

import pytest
import torch
from torch import nn

from arclight.errors import UserError
from arclight.training.low_precision import adamw_8bit, require_torchao, use_float8
from arclight.training.trainer import make_trainer

installed = pytest.mark.skipif(util.find_spec("torchao") is None, reason="torchao is an extra")


def test_missing_torchao_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        require_torchao("optimizer=adamw_8bit")


def test_float8_without_a_supported_gpu_is_a_user_error(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    with pytest.raises(UserError, match=r"type trainer\.float8=false"):
        make_trainer(tmp_path, [], [], False, float8=True)


@installed
def test_float8_skips_the_head_and_odd_sizes_and_keeps_names() -> None:
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 33), nn.Linear(33, 16))
    names = list(model.state_dict())
    use_float8(model, emulate=True)
    assert [type(m).__name__ for m in model] == ["Float8Linear", "ReLU", "Linear", "Linear"]
    assert list(model.state_dict()) == names
    model(torch.randn(16, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@installed
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's compiler, about what torchao has it compile
def test_the_8_bit_state_is_restored_from_a_checkpoint(tmp_path: Path) -> None:
    def trained(steps: range, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for step in steps:
            torch.manual_seed(step)
            optimizer.zero_grad()
            model(torch.randn(8, 64)).square().sum().backward()
            optimizer.step()

    def new() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(64, 64, bias=False)
        return model, adamw_8bit(model, fused=False)

    straight, optimizer = new()
    trained(range(4), straight, optimizer)
    first, before = new()
    trained(range(2), first, before)
    torch.save([first.state_dict(), before.state_dict()], tmp_path / "state.pt")
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["state"][0]["exp_avg"]["codes"].dtype == torch.uint8
    second, after = new()
    second.load_state_dict(weights)
    after.load_state_dict(state)
    trained(range(2, 4), second, after)
    assert torch.equal(second.weight, straight.weight)  # type: ignore[arg-type]
