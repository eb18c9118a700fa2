"""After any interruption, `metrics.csv` equals that of an uninterrupted run byte for byte."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import read
from arclight.training.checkpoints import Checkpoints
from arclight.training.record import TIMING
from tests.conftest import Composed, Package
from tests.run.test_exact_resume import assert_equal
from tests.run.test_plain_modules import DATA, LIT, NET

MANY = '''
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torchmetrics import Accuracy, MaxMetric, MeanMetric, MetricCollection, MetricTracker
from torchmetrics import MinMaxMetric, Precision, RunningMean, SumMetric
from mylab.lit import F, L, nn, torch


class Many(L.LightningModule):
    """Logs everything that Lightning's users can log, in every hook."""

    def __init__(self, net: nn.Module, interval: str = "epoch", schedule: str = "plateau"):
        super().__init__()
        self.net, self.interval, self.schedule = net, interval, schedule
        self.scores = MetricCollection(
            {"acc": Accuracy(task="binary"), "precision": Precision(task="binary")}
        )
        self.val_scores = self.scores.clone(prefix="val_")
        self.best = MaxMetric()
        self.bounds = MinMaxMetric(Accuracy(task="binary"))
        inner = MetricCollection({"least": Accuracy(task="binary"), "most": MaxMetric()})
        self.nested = nn.ModuleDict({"deep": MeanMetric(), "deeper": nn.ModuleDict({"in": inner})})
        self.never_reset = SumMetric()
        self.running = RunningMean(window=3)
        self.tracker = MetricTracker(MetricCollection({"tracked": Accuracy(task="binary")}))

    def on_train_start(self):
        self.best.reset()  # as a well-known template does

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        answer = logits.argmax(1)
        self.scores(answer, y)
        self.bounds(answer, y)
        self.nested["deep"](loss)
        self.nested["deeper"]["in"]["most"].update(loss)
        self.nested["deeper"]["in"]["least"].update(answer, y)
        self.never_reset.update(loss)
        self.running.update(loss)
        self.log_dict(self.scores, on_step=True, on_epoch=True)
        self.log("deep", self.nested["deep"], on_step=False, on_epoch=True)
        for reduce in ("min", "max", "sum", "mean"):
            self.log(f"loss_{reduce}", loss, on_step=False, on_epoch=True, reduce_fx=reduce)
        self.log("both", loss, on_step=True, on_epoch=True, prog_bar=True)
        if batch_idx % 3 == 1:
            self.log("now and then", loss, on_step=True)
        return {"loss": loss}

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.log("late", outputs["loss"] * 2, on_step=True, on_epoch=True)

    def on_train_epoch_end(self):
        self.log("total", self.never_reset.compute())
        self.log("running", self.running.compute())
        self.log_dict(self.nested["deeper"]["in"].compute())
        self.log("low", self.bounds.compute()["min"])

    def on_validation_epoch_start(self):
        self.tracker.increment()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        self.tracker.update(logits.argmax(1), y)
        self.val_scores(logits.argmax(1), y)
        self.log("val_loss", F.cross_entropy(logits, y))
        self.log_dict(self.val_scores)

    def on_validation_epoch_end(self):
        self.best(self.val_scores["acc"].compute())
        self.log("best", self.best.compute())
        self.log("tracked_best", self.tracker.best_metric()["tracked"])

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), 0.5)
        if self.schedule == "plateau":
            monitor = "val_loss" if self.interval == "epoch" else "both"
            schedule = ReduceLROnPlateau(optimizer, patience=0, threshold=0.05)
        else:
            monitor, schedule = None, StepLR(optimizer, 1, 0.5)
        node = {"scheduler": schedule, "interval": self.interval, "monitor": monitor}
        return {"optimizer": optimizer, "lr_scheduler": node}


class Stops(Many):
    """Ends the run in the middle of its second epoch."""

    def on_train_batch_end(self, outputs, batch, batch_idx):
        super().on_train_batch_end(outputs, batch, batch_idx)
        if self.current_epoch == 1 and batch_idx == 2:
            self.trainer.should_stop = True
'''
RELOADED = (
    DATA
    + '''

class Reloaded(Spots):
    """Its data follow from the epoch in which its loader was made."""

    def train_dataloader(self):
        x, y = self.train.tensors
        data = TensorDataset(x + self.trainer.current_epoch, y)
        return DataLoader(data, self.hparams.batch_size, shuffle=True)
'''
)


def rows_of(run: RunDirectory) -> list[list[str]]:
    """Header and rows, without the timing columns."""
    with run.metrics_file.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    kept = [i for i, name in enumerate(header) if not name.startswith(TIMING)]
    return [[row[i] for i in kept] for row in (header, *rows)]


def ended(run: RunDirectory) -> dict[str, Any]:
    last = read(run.checkpoints / "last.ckpt")
    names = ("state_dict", "optimizer_states", "lr_schedulers", "steps", "epoch_metrics")
    return {
        "rows": rows_of(run),
        **{name: last[name] for name in names},
        "files": sorted(f.name for f in run.checkpoints.glob("*.ckpt")),
        "best": read(f)["steps"] if (f := run.checkpoints / "best.ckpt").exists() else None,
        "summary": {k: run.summary[k] for k in ("metrics", "steps", "epochs", "tested_step")},
    }


Made = Callable[..., RunDirectory]


@pytest.fixture
def made(composed: Composed, package: Package, tmp_path: Path) -> Made:
    """A run of a plain module, not executed yet; its directory is copied at each save."""
    package(lit=LIT, spots=RELOADED, many=MANY)

    def make(
        task: str,
        data: str = "Spots",
        task_keys: dict[str, Any] | None = None,
        monitor: str | None = "val_loss",
        **trainer: Any,
    ) -> RunDirectory:
        config = {
            k: v for k, v in composed().items() if k not in ("model", "optimizer", "scheduler")
        }
        config["task"] = {"_target_": f"mylab.{task}", **(task_keys or {})}
        if task in ("many.Many", "many.Stops", "lit.Lit"):
            config["task"]["net"] = NET
        config["data"] = {"_target_": f"mylab.spots.{data}"}
        config["callbacks"]["checkpoints"] |= {
            "monitor": monitor,
            "mode": "min",
            "every_n_steps": 1,
            "keep_best": 2,
        }
        config["trainer"] |= {"max_epochs": 3, "log_every_n_steps": 2, **trainer}
        return create(tmp_path / "whole", tmp_path, "run", config, [], {})

    return make


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[RunDirectory], list[Path]]:
    """Executes a run and returns a copy of its directory as it was after each save."""

    def execute_and_copy(run: RunDirectory) -> list[Path]:
        save, copies = Checkpoints.save, list[Path]()

        def save_and_copy(self: Checkpoints, trainer: Any) -> None:
            save(self, trainer)
            trainer.strategy.checkpoint_io.wait()
            copies.append(tmp_path / f"at-{len(copies)}")
            shutil.copytree(run.path, copies[-1])

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "save", save_and_copy)
            assert execute(run) == 0
        return copies

    return execute_and_copy


def assert_all_end_alike(run: RunDirectory, copies: list[Path]) -> None:
    expected = ended(run)
    for path in copies:
        copy = RunDirectory(path)
        assert copy.status == "running"  # as a kill leaves it
        assert execute(copy) == 0
        assert_equal(ended(copy), expected, path.name)


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "everything that is logged": ("many.Many", {}),
    "plateau by step": ("many.Many", {"task_keys": {"interval": "step"}, "max_epochs": 2}),
    "two optimizers": ("lit.Two", {"max_epochs": None, "max_steps": 7}),
    "validation within a step": (
        "many.Many",
        {"accumulate_grad_batches": 3, "val_check_interval": 2},
    ),
    "reloaded data": ("many.Many", {"data": "Reloaded", "reload_dataloaders_every_n_epochs": 2}),
}


SLOW_WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "two steps each": ("many.Many", {"accumulate_grad_batches": 2, "val_check_interval": 0.5}),
    "another schedule": ("many.Many", {"task_keys": {"schedule": "step"}, "max_steps": 10}),
    "rare validation": (
        "many.Many",
        {"check_val_every_n_epoch": 2, "max_epochs": 4, "task_keys": {"schedule": "step"}},
    ),
    "no validation": ("lit.Silent", {"limit_val_batches": 0, "monitor": None}),
    "limited": ("many.Many", {"limit_train_batches": 3, "log_every_n_steps": 1}),
    "two optimizers by epochs": ("lit.Two", {}),
    "it stops itself": ("many.Stops", {}),
    "several metrics": ("lit.Lit", {"val_check_interval": 3}),
}


@pytest.mark.parametrize(
    "way", [*WAYS, *(pytest.param(way, marks=pytest.mark.slow) for way in SLOW_WAYS)]
)
def test_every_save_is_a_point_to_resume_from(made: Made, points: Any, way: str) -> None:
    task, settings = {**WAYS, **SLOW_WAYS}[way]
    run = made(task, **settings)
    copies = points(run)
    assert len(copies) >= 6
    assert_all_end_alike(run, copies)


@pytest.mark.parametrize("task", ["many.Many", "lit.Two"])
def test_extending_max_steps_equals_a_longer_run(made: Made, task: str) -> None:
    """A run ended by `max_steps` within an epoch has written the metrics of that epoch."""
    run = made(task, max_epochs=None, max_steps=11)
    assert execute(run) == 0
    expected = ended(run)
    again = run.path.rename(run.path.with_name("undisturbed"))
    assert again.is_dir()
    cut = made(task, max_epochs=None, max_steps=11)
    config = cut.config
    for steps in (6, 11):
        config["trainer"]["max_steps"] = steps
        cut.config_file.write_text(yaml.safe_dump(config))
        cut.update_summary(status="interrupted")
        assert execute(cut) == 0
    assert_equal(ended(cut), expected)
