"""Mixed precision works with the default features: fused kernels, gradient clipping."""

from pathlib import Path

import pytest
import torch
from torch import nn

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.training.trainer import resolve_precision
from tests.conftest import Composed

SMALL = ("model=vit", "model.d_model=16", "model.n_layers=1", "data.limit=32", "data.batch_size=16")


def test_bf16_trains_with_a_fused_optimizer_and_clipping(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    clip = nn.utils.clip_grad_norm_

    def clipped(parameters: list[nn.Parameter], largest: float) -> torch.Tensor:
        norm = clip(parameters, largest)
        norms.append(float(nn.utils.get_total_norm([p.grad for p in parameters])))  # type: ignore[misc]
        return norm

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clipped)
    words = ("trainer.precision=bf16-mixed", "trainer.gradient_clip_val=0.01")
    config = composed(*SMALL, *words, "trainer.max_epochs=1")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


def test_fp16_on_a_cpu_is_a_user_error() -> None:
    with pytest.raises(UserError, match="needs a GPU"):
        resolve_precision("16-mixed", "cpu")
