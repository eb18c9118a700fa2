"""After any interruption, executing the run directory again gives the same bits."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import read
from arclight.training.checkpoints import Checkpoints
from arclight.training.loggers import read_metrics
from arclight.training.record import TIMING
from tests.conftest import Composed

SMALL = (
    "model=vit",
    "model.d_model=16",
    "model.n_layers=1",
    "model.dropout=0.1",
    "data.limit=64",
    "data.batch_size=16",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
    "callbacks.checkpoints.every_n_steps=1",
)
EVERYTHING = (
    "data.limit=96",
    "callbacks.ema.decay=0.9",
    "callbacks.early_stopping.patience=50",
    "callbacks.checkpoints.keep_best=2",
    "callbacks.checkpoints.asynchronous=true",
    "data.augment.mixup=0.2",
    "trainer.accumulate_grad_batches=2",
    "trainer.val_check_interval=0.5",
)
WAYS = {"plain": ()}
SLOW_WAYS = {
    "everything on": EVERYTHING,
    "early stopping strikes": ("callbacks.early_stopping.patience=1", "optimizer.lr=0"),
    "steps, not epochs": ("trainer.max_steps=9", "trainer.max_epochs=null"),
    "no validation": ("trainer.limit_val_batches=0",),
    "worker loader": ("data.loader=workers", "data.num_workers=0", *EVERYTHING),
    "batch norm, channels last": ("model=cnn", "model.widths=[8,8,8]"),
    "two workers": ("data.loader=workers", "data.num_workers=2", *EVERYTHING),
    "limited batches": ("trainer.limit_train_batches=4", "trainer.max_epochs=3", *EVERYTHING),
    "skipping": ("on_nonfinite=skip",),
    "muon": ("optimizer=muon",),
    "low-rank matrices": ("finetune=lora", "finetune.rank=2"),
}


def started(path: Path, config: dict[str, Any]) -> RunDirectory:
    return create(path, path.parent, "run", config, [], {"command": "test"})


def outcome(run: RunDirectory) -> dict[str, Any]:
    """All that must be equal: weights, optimizer, counters, and metrics except speed."""
    last = read(run.checkpoints / "last.ckpt")
    rows = read_metrics(run.metrics_file)
    rows = [{k: v for k, v in row.items() if not k.startswith(TIMING)} for row in rows]
    kept = {f.name: read(f)["state_dict"] for f in run.checkpoints.glob("*.ckpt")}
    kept.pop("previous.ckpt", None)
    summary = run.summary
    return {
        "weights": last["state_dict"],
        "optimizer": last["optimizer_states"],
        "schedule": last["lr_schedulers"],
        "callbacks": {k: v for k, v in last["callbacks"].items() if "Early" not in k},
        "step": last["global_step"],
        "rows": rows,
        "kept": kept,
        "metrics": summary["metrics"],
        "steps": summary["steps"],
        "epochs": summary["epochs"],
    }


def assert_equal(a: Any, b: Any, where: str = "") -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}/{i}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


@pytest.mark.parametrize(
    "way",
    [*WAYS, *(pytest.param(way, marks=pytest.mark.slow) for way in SLOW_WAYS)],
)
def test_every_step_is_a_point_to_resume_from(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The undisturbed run is copied at each of its saves; each copy is executed to the end."""
    words = {**WAYS, **SLOW_WAYS}[way]
    small = [w for w in SMALL if "model=cnn" not in words or not w.startswith("model")]
    config = composed(*small, *words)
    run = started(tmp_path / "undisturbed", config)
    save = Checkpoints.save

    def save_and_copy(self: Checkpoints, trainer: Any) -> None:
        save(self, trainer)
        trainer.strategy.checkpoint_io.wait()
        if self.folder == run.checkpoints:
            shutil.copytree(run.path, tmp_path / f"at-{trainer.global_step}")

    monkeypatch.setattr(Checkpoints, "save", save_and_copy)
    assert execute(run) == 0
    expected = outcome(run)
    points = sorted(tmp_path.glob("at-*"), key=lambda p: int(p.name[3:]))
    assert len(points) >= 5
    for point in points:
        copy = RunDirectory(point)
        assert copy.status == "running"  # as a kill leaves it
        assert execute(copy) == 0
        assert copy.summary["times_resumed"] == 1
        assert_equal(outcome(copy), expected, point.name)
