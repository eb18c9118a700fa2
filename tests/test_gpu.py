"""Tests that need a CUDA device. Run them on such a machine: pytest -m gpu.

Tests with the same marker in other files (streams, augmentation) run too. Without a CUDA device all
are skipped.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run.fit import fit
from arclight.training.checkpoint_files import read
from arclight.training.checkpoints import Checkpoints
from arclight.training.loggers import read_metrics
from tests.conftest import Composed
from tests.run.test_exact_resume import assert_equal, outcome, started

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # The libraries there may have other versions than the lock file, with other warnings.
    pytest.mark.filterwarnings("default"),
]
SMALL = (
    "trainer=gpu",
    "model=vit",
    "model.d_model=32",
    "model.n_layers=2",
    "data.limit=256",
    "data.batch_size=32",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
    "preflight=false",
)


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arclight.run.fit.draw", lambda *_: [])


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Turns off deterministic algorithms after the test; deterministic=true sets them globally."""
    yield
    torch.use_deterministic_algorithms(False)


def train_loss(run: Any) -> list[float]:
    return [
        float(row["train/loss"]) for row in read_metrics(run.metrics_file) if "train/loss" in row
    ]


def test_the_default_precision_is_bf16(composed: Composed, tmp_path: Path) -> None:
    run = started(tmp_path / "run", composed(*SMALL))
    assert execute(run) == 0
    assert "bf16-mixed" in run.log_file.read_text()
    assert run.summary["status"] == "finished"


@pytest.mark.parametrize("clip", ["null", "0.5"])
def test_fp16_scales_its_losses(composed: Composed, tmp_path: Path, clip: str) -> None:
    overrides = ("trainer.precision=16-mixed", f"trainer.gradient_clip_val={clip}")
    run = started(tmp_path / "run", composed(*SMALL, *overrides))
    assert execute(run) == 0
    losses = train_loss(run)
    assert losses[-1] < losses[0]
    saved = read(run.checkpoints / "last.ckpt")
    assert saved["MixedPrecision"]["scale"] > 1


@pytest.mark.parametrize("how", ["true", "blocks", "cudagraphs"])
def test_compiled_model_learns_the_same(composed: Composed, tmp_path: Path, how: str) -> None:
    fixed = (*SMALL, "trainer.precision=32-true", "model.dropout=0")
    plain = started(tmp_path / "plain", composed(*fixed))
    compiled = started(tmp_path / "compiled", composed(*fixed, f"compile={how}"))
    assert execute(plain) == execute(compiled) == 0
    assert train_loss(compiled) == pytest.approx(train_loss(plain), rel=2e-2)


def test_one_process_with_nccl_gives_the_same_losses(composed: Composed, tmp_path: Path) -> None:
    fixed = (*SMALL, "trainer.precision=32-true")
    alone = started(tmp_path / "alone", composed(*fixed))
    grouped = started(tmp_path / "grouped", composed(*fixed, "trainer.strategy=ddp"))
    assert execute(alone) == execute(grouped) == 0
    assert train_loss(grouped) == pytest.approx(train_loss(alone), rel=1e-3)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_deterministic_run_resumes_exactly(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    overrides = ("deterministic=true", f"trainer.precision={precision}", "data.augment.crop=2")
    run = started(
        tmp_path / "whole", composed(*SMALL, *overrides, "callbacks.checkpoints.every_n_steps=3")
    )
    save = Checkpoints.save

    def save_and_copy(self: Checkpoints, trainer: Any) -> None:
        save(self, trainer)
        if self.folder == run.checkpoints:
            shutil.copytree(run.path, tmp_path / f"at-{trainer.global_step}")

    monkeypatch.setattr(Checkpoints, "save", save_and_copy)
    assert execute(run) == 0
    points = sorted(tmp_path.glob("at-*"))
    assert len(points) >= 3
    for point in points:
        copy = type(run)(point)
        assert execute(copy) == 0
        assert_equal(outcome(copy), outcome(run), point.name)


def test_too_large_batch_is_a_user_error(composed: Composed, tmp_path: Path) -> None:
    overrides = ("model.d_model=512", "data.limit=null", "data.batch_size=1024")
    run = started(tmp_path / "run", composed(*SMALL, *overrides))
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.002)
    try:
        with pytest.raises(
            UserError, match=r"ran out of memory with data\.batch_size=1024 \(0\.\d"
        ):
            fit(run)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_float8_learns(composed: Composed, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    if torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("needs an Ada or Hopper device")
    overrides = ("trainer.float8=true", "compile=blocks", "model.d_model=128", "model.n_heads=4")
    run = started(tmp_path / "run", composed(*SMALL, *overrides))
    assert execute(run) == 0
    losses = train_loss(run)
    assert losses[-1] < losses[0]
