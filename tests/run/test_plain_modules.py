"""Plain Lightning modules and data, written as in Lightning's documentation."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.loggers import read_metrics
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.load import load
from arclight.use.predict import predict
from tests.conftest import CONFIGS, Composed, Package

DATA = """
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset, default_collate


class Spots(LightningDataModule):
    def __init__(self, batch_size: int = 8, num_workers: int = 0):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage):
        x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
        y = (x.sum(1) > 0).long()
        self.train, self.val, self.test = (
            TensorDataset(x[a:b], y[a:b]) for a, b in ((0, 32), (32, 40), (40, 48))
        )

    def train_dataloader(self):
        workers = self.hparams.num_workers
        return DataLoader(self.train, self.hparams.batch_size, shuffle=True, num_workers=workers)

    def val_dataloader(self):
        return DataLoader(self.val, self.hparams.batch_size)

    def test_dataloader(self):
        return DataLoader(self.test, self.hparams.batch_size, collate_fn=noisy)


def noisy(samples):
    x, y = default_collate(samples)
    return x + torch.randn_like(x), y
"""

LIT = """
import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics import Accuracy, MeanMetric


class Lit(L.LightningModule):
    def __init__(self, net: nn.Module, optimizer=None, scheduler=None, lr: float = 0.1):
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.net = net
        self.val_acc = Accuracy(task="binary")
        self.seen = MeanMetric()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.seen(loss)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/mean", self.seen, on_step=False, on_epoch=True)
        self.log("both", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.val_acc(logits.argmax(1), y)
        self.log("val_loss", F.cross_entropy(logits, y))
        self.log("acc", self.val_acc)

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("final", F.cross_entropy(self(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.hparams.lr)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"},
        }


class Two(L.LightningModule):
    '''Two optimizers, stepped by hand.'''

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        for optimizer, net in zip(self.optimizers(), (self.a, self.b)):
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.log("loss", loss)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.a(batch[0]), batch[1]))

    def configure_optimizers(self):
        return [torch.optim.Adam(net.parameters(), 0.1) for net in (self.a, self.b)]


class Silent(Two):
    def validation_step(self, batch, batch_idx):
        pass


class Pair(Silent):
    def forward(self, first, second):
        return self.a(first) + self.b(second)


class Still(Silent):
    def configure_optimizers(self):
        return None

    def training_step(self, batch, batch_idx):
        self.log("loss", F.cross_entropy(self.a(batch[0]), batch[1]))


class Takes(Lit):
    '''Its network and its optimizer are the config's.'''

    def __init__(self, model: nn.Module, optimizer, scheduler):
        super().__init__(model)
        self.make = optimizer, scheduler

    def configure_optimizers(self):
        optimizer = self.make[0](self.parameters())
        return {"optimizer": optimizer, "lr_scheduler": self.make[1](optimizer)}


class Draws(Silent):
    def on_train_end(self):
        self.logger.experiment.add_scalar("drawn", 1.0)


class Keeps(Lit):
    def on_save_checkpoint(self, checkpoint):
        checkpoint["mine"] = object()
"""
NET = {
    "_target_": "torch.nn.Sequential",
    "_args_": [
        {"_target_": "torch.nn.Linear", "in_features": 4, "out_features": 8},
        {"_target_": "torch.nn.ReLU"},
        {"_target_": "torch.nn.Linear", "in_features": 8, "out_features": 2},
    ],
}

TENSORBOARD = "arclight.training.loggers.tensorboard_logger"
LOGGERS = {"Draws": {"tensorboard": {"_target_": TENSORBOARD}}}


@pytest.fixture
def made(composed: Composed, package: Package, tmp_path: Path) -> Any:
    """A run of a module of `LIT` on `DATA`, not executed yet."""
    package(lit=LIT, spots=DATA)

    def make(kind: str = "Lit", monitor: str | None = "val_loss", **trainer: Any) -> RunDirectory:
        base = composed()
        own = () if kind == "Takes" else ("model", "optimizer", "scheduler")
        config = {k: v for k, v in base.items() if k not in own}
        config["task"] = {"_target_": f"mylab.lit.{kind}"}
        if kind in ("Lit", "Keeps"):
            config["task"] |= {"net": NET, "optimizer": None, "scheduler": None}
        config["data"] = {"_target_": "mylab.spots.Spots"}
        config["callbacks"]["checkpoints"] |= {"monitor": monitor, "mode": "min"}
        config["logger"] = LOGGERS.get(kind)
        config["trainer"] |= {"max_epochs": 3, "log_every_n_steps": 2, **trainer}
        return create(tmp_path / f"run-{kind}", tmp_path, "run", config, [], {})

    return make


def test_its_metrics_are_in_the_file_the_summary_and_the_notebook(made: Any) -> None:
    run = made()
    assert execute(run) == 0
    rows = read_metrics(run.metrics_file)
    steps = {
        name: [int(row["step"]) for row in rows if row.get(name)]
        for name in ("train/loss", "train/mean", "both_step", "both_epoch", "val_loss", "acc")
    }
    assert steps["train/loss"] == steps["both_step"] == [2, 4, 6, 8, 10, 12]
    assert steps["train/mean"] == steps["both_epoch"] == [4, 8, 12]
    assert steps["val_loss"] == steps["acc"] == [4, 8, 12]
    assert [int(row["step"]) for row in rows if row.get("final")] == [12]
    metrics = run.summary["metrics"]
    assert set(metrics) == {"val_loss", "acc", "final"}
    best = min(float(row["val_loss"]) for row in rows if row.get("val_loss"))
    assert metrics["val_loss"] == pytest.approx(best, abs=1e-6)
    assert evaluate(str(run.path)) == {"final": metrics["final"]}
    again = load(run.path)
    assert len(again.metrics) == len(rows)
    assert again.predict(torch.zeros(3, 4)).shape == (3, 2)
    with pytest.raises(UserError, match=r"type run\.predict\(INPUTS\)"):
        again.predict()
    assert next(iter(again.data.test_dataloader()))[0].shape == (8, 4)


def test_it_is_exported_and_prediction_without_answer_is_a_user_error(
    made: Any, tmp_path: Path
) -> None:
    run = made()
    assert execute(run) == 0
    assert export(str(run.path), "torch_export").is_file()
    assert export(str(run.path), "safetensors").is_file()
    with pytest.raises(UserError, match=r"Lit does not define predictions: define `answer"):
        predict(str(run.path), str(tmp_path))
    with pytest.raises(UserError, match="no model like Lit"):
        export(str(run.path), "hf")


def test_a_step_is_a_batch_after_which_any_optimizer_stepped(made: Any) -> None:
    run = made("Two", max_epochs=None, max_steps=6)
    assert execute(run) == 0
    assert run.summary["steps"] == 6
    rows = read_metrics(run.metrics_file)
    assert [int(row["step"]) for row in rows if row.get("loss")] == [2, 4, 6]
    assert run.summary["tested_step"] in (4, 6)
    assert set(run.summary["metrics"]) == {"val_loss"}  # there is no test_step


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["Lit", "Two"])
def test_it_resumes_to_the_same_bits(made: Any, kind: str, workers: int) -> None:
    def last(run: RunDirectory) -> dict[str, Any]:
        state = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
        return {**state["state_dict"], "steps": state["steps"]}

    def with_workers(run: RunDirectory) -> RunDirectory:
        config = run.config
        config["data"]["num_workers"] = workers
        run.config_file.write_text(yaml.safe_dump(config))
        return run

    whole = with_workers(made(kind))
    assert execute(whole) == 0
    expected = last(whole)
    whole.path.rename(whole.path.with_name("whole"))
    cut = with_workers(made(kind))
    stop = cut.config
    stop["trainer"] |= {"max_epochs": None, "max_steps": 7}
    full = cut.config_file.read_text()
    cut.config_file.write_text(yaml.safe_dump(stop))
    assert execute(cut) == 0
    cut.config_file.write_text(full)
    cut.update_summary(status="interrupted")
    assert execute(cut) == 0
    again = last(cut)
    assert again["steps"] == expected["steps"] == 12
    assert all(torch.equal(torch.as_tensor(again[k]), torch.as_tensor(expected[k])) for k in again)


def test_the_monitor_is_any_metric_that_it_logs(made: Any) -> None:
    run = made("Two", monitor="val/loss")
    assert execute(run) == 2
    said = run.summary["error"]
    assert "monitor=val/loss is not logged: choose from loss, val_loss." in said


def test_without_a_monitor_the_last_is_tested(made: Any) -> None:
    run = made("Silent", monitor=None)
    assert execute(run) == 0
    assert run.summary["tested_checkpoint"] == "last.ckpt"
    log = " ".join(run.log_file.read_text().split())
    assert "length 3 epochs" in log
    assert "as no callbacks.checkpoints.monitor=METRIC selects the best" in log


def test_state_that_cannot_be_loaded_again_is_named_at_the_first_save(made: Any) -> None:
    run = made("Keeps")
    assert execute(run) == 2
    assert "A checkpoint cannot keep mine, a object" in run.summary["error"]


def test_a_module_may_take_network_optimizer_and_schedule_of_the_config(made: Any) -> None:
    run = made("Takes")
    config = run.config
    config["model"] = NET
    run.config_file.write_text(yaml.safe_dump(config))
    assert execute(run) == 2
    assert "The schedule cosine needs total_steps and steps_per_epoch" in run.summary["error"]
    config["scheduler"] = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1}
    run.config_file.write_text(yaml.safe_dump(config))
    assert execute(run) == 0
    rates = [float(row["lr"]) for row in read_metrics(run.metrics_file) if row.get("lr")]
    assert rates[0] > rates[-1]
    assert "final" in evaluate(str(run.path))


@pytest.mark.filterwarnings("ignore:.*configure_optimizers. returned .None.")
def test_a_module_may_train_nothing(made: Any) -> None:
    run = made("Still", monitor=None)
    assert execute(run) == 0, run.summary["error"]


def test_its_logger_is_the_one_that_was_chosen(made: Any) -> None:
    pytest.importorskip("tensorboard")
    run = made("Draws", monitor=None)
    assert execute(run) == 0, run.summary["error"]


@pytest.mark.parametrize("debug", ["fast", "limit", "overfit"])
def test_debug_options_work(made: Any, debug: str) -> None:
    """Of two batches in validation, a tenth; and its schedule waits for a metric of validation."""
    settings = yaml.safe_load((CONFIGS / "debug" / f"{debug}.yaml").read_text())["trainer"]
    run = made(**{**settings, "max_epochs": 2})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ReduceLROnPlateau conditioned on metric val_loss")
        assert execute(run) == 0, run.summary["error"]
    assert run.summary["resume"] == "exact"


def test_an_export_needs_an_example_of_each_input(made: Any) -> None:
    run = made("Pair", max_steps=1)
    assert execute(run) == 0
    with pytest.raises(UserError, match=r"set `self\.example_input_array = \(first, second\)`"):
        export(str(run.path), "onnx")


def test_without_a_forward_there_is_nothing_to_export(made: Any) -> None:
    run = made("Two", max_steps=1)
    assert execute(run) == 0
    with pytest.raises(UserError, match=r"Two has no forward, .*: define `forward\(self, x\)`"):
        export(str(run.path), "onnx")
