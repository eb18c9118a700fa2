"""A failed run never looks successful, and a stopped run is marked as interrupted."""

import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import read
from arclight.training.checkpoints import Checkpoints
from arclight.training.loggers import read_metrics
from arclight_zoo.image.classification import ImageClassification
from tests.conftest import Composed
from tests.fault.harness import differences, ending, incomplete_files
from tests.fault.signals import too_old

TINY = (
    "model=vit",
    "model.d_model=16",
    "model.n_layers=1",
    "data.limit=96",
    "data.batch_size=16",
    "trainer.max_epochs=3",
    "trainer.log_every_n_steps=1",
    "callbacks.checkpoints.every_n_steps=1",
    "callbacks.ema.decay=0.9",
)
STEPS = 18


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """One thread, since more would slow down small steps."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def made(composed: Composed, tmp_path: Path) -> Callable[..., RunDirectory]:
    """Creates a new run of a few steps."""

    def make(name: str, *overrides: str) -> RunDirectory:
        config = composed(*TINY, *overrides)
        return create(tmp_path / name, tmp_path, name, config, [], {"command": "test"})

    return make


Made = Callable[..., RunDirectory]


def finite(file: Path) -> bool:
    return all(bool(t.isfinite().all()) for t in read(file)["state_dict"].values())


def diverge(monkeypatch: pytest.MonkeyPatch, at: Callable[[int], bool]) -> None:
    """Makes the images, and so the loss, NaN in the chosen steps."""
    step = ImageClassification.training_step

    def training_step(self: ImageClassification, batch: Any, batch_idx: int) -> torch.Tensor:
        images, labels = batch
        images = images * float("nan") if at(self.trainer.global_step) else images
        loss: torch.Tensor = step(self, (images, labels), batch_idx)
        return loss

    monkeypatch.setattr(ImageClassification, "training_step", training_step)


def test_a_diverged_run_fails_and_reports_the_step(made: Made) -> None:
    run = made("high", "optimizer.lr=1e30", "trainer.gradient_clip_val=null")
    assert execute(run) == 1
    assert run.status == "failed"
    assert "NonFiniteError" in run.summary["error"]
    assert "at step" in run.summary["error"]
    for file in run.checkpoints.glob("*.ckpt"):
        assert finite(file), file.name
    assert not incomplete_files(run.path)


def test_a_loss_that_is_nan_stops_the_run_before_the_next_save(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverge(monkeypatch, lambda step: step >= 7)
    run = made("nan")
    assert execute(run) == 1
    assert run.status == "failed"
    assert "at step 8 (epoch 2)" in run.summary["error"]
    assert "Traceback" in run.log_file.read_text()
    last = run.checkpoints / "last.ckpt"
    assert read(last)["global_step"] == 7
    assert finite(last)


def test_on_nonfinite_skip_continues_and_ends_finite(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverge(monkeypatch, lambda step: step in (3, 7))
    run = made("skip", "on_nonfinite=skip")
    assert execute(run) == 0
    assert run.status == "finished"
    assert run.summary["steps"] == STEPS
    assert finite(run.checkpoints / "last.ckpt")
    losses = [r["train/loss"] for r in read_metrics(run.metrics_file) if r.get("train/loss")]
    assert losses
    assert all(math.isfinite(float(loss)) for loss in losses)


def test_an_exception_in_the_model_is_a_failure_with_its_traceback(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("in the model")

    run = made("broken")
    with monkeypatch.context() as patch:
        patch.setattr("arclight_zoo.image.vit.ViT.forward", broken)
        assert execute(run) == 1
    assert run.status == "failed"
    assert run.summary["error"] == "ZeroDivisionError: in the model"
    said = run.log_file.read_text()
    assert "Traceback" in said
    assert "ZeroDivisionError: in the model" in said
    assert execute(run) == 0  # after the fix, the same directory is continued
    assert run.summary["error"] is None


MOMENTS = {
    "in a step": ("training_step", 8),
    "in a step before a validation": ("training_step", 12),
    "in the last step": ("training_step", STEPS),
    "in validation": ("validation_step", 12),
    "in the last validation": ("validation_step", STEPS),
    "in the last save": ("save", STEPS),
    "in the test": ("test_step", STEPS),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_the_run_at_any_time(
    made: Made, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Exit code and status match the signal, the checkpoint is new, and the results are the
    same."""
    undisturbed, run = made("undisturbed"), made("signalled")
    assert execute(undisturbed) == 0
    where, at = MOMENTS[moment]
    with monkeypatch.context() as patch:
        _signal_once(patch, where, at)
        assert execute(run) == 128 + signal.SIGTERM
    assert run.status == "interrupted"
    assert not too_old(run)
    assert execute(run) == 0
    assert run.summary["times_resumed"] == 1
    assert not list(differences(ending(run), ending(undisturbed)))


def _signal_once(patch: pytest.MonkeyPatch, where: str, at: int) -> None:
    """Sends SIGTERM to the process in a method, after the given number of steps has begun."""
    owner: Any = Checkpoints if where == "save" else ImageClassification
    original = getattr(owner, where)
    told: list[int] = []

    def signalling(self: Any, *arguments: Any) -> Any:
        trainer = arguments[0] if where == "save" else self.trainer
        step = trainer.global_step + (where == "training_step")
        if step >= at and not told:
            told.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    patch.setattr(owner, where, signalling)


def test_a_run_stopped_after_its_test_has_each_metric_once(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test's metrics are in `metrics.csv` once, however often the run is continued."""

    def stopped(*_: Any) -> None:
        raise SystemExit(143)

    undisturbed, run = made("undisturbed"), made("stopped")
    assert execute(undisturbed) == 0
    with monkeypatch.context() as patch:
        patch.setattr("arclight.run.fit.draw", stopped)
        assert execute(run) == 143
    assert run.status == "interrupted"
    assert execute(run) == 0
    assert not list(differences(ending(run), ending(undisturbed)))
