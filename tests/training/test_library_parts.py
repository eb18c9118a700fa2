"""Parts of torch, timm and Lightning by `_target_`, and every key of Lightning's Trainer."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from arclight.config.checks.check import check
from arclight.errors import UserError
from arclight.run.assembly import Parts, build_parts
from arclight.run.execute import execute
from arclight.run.trainer import assemble
from arclight.run_directory import RunDirectory, create
from arclight.training.configured import ConfiguredOptimizer, ConfiguredSchedule
from arclight.training.loggers import read_metrics
from tests.conftest import Composed

ADAM = {"_target_": "torch.optim.Adam", "lr": 0.1}
FEW = ("data.limit=96", "data.batch_size=16", "preflight=false", "trainer.log_every_n_steps=1")


def executed(composed: Composed, folder: Path, *words: str) -> RunDirectory:
    config = composed(*FEW, *words)
    run = create(folder / "run", folder, "run", config, [], {})
    assert execute(run) == 0, run.summary
    return run


def assembled(composed: Composed, folder: Path, *words: str) -> tuple[Any, Parts]:
    config = composed(*FEW, *words)
    run = create(folder / "run", folder, "run", config, [], {})
    parts = build_parts(config, run.path)
    return assemble(run, parts, []), parts


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.norm = nn.LayerNorm(4)


@pytest.mark.parametrize("name", ["rmsprop", "lion", "lamb", "adamw", "sgd", "muon"])
def test_an_optimizer_of_the_configs_trains(composed: Composed, tmp_path: Path, name: str) -> None:
    model = "vit" if name == "muon" else "cnn"
    run = executed(composed, tmp_path, f"model={model}", f"optimizer={name}", "trainer.max_steps=3")
    assert run.summary["steps"] == 3


@pytest.mark.parametrize("name", ["rmsprop", "lion", "lamb"])
def test_no_decay_excludes_norms_and_biases(composed: Composed, name: str) -> None:
    node = composed(f"optimizer={name}", "optimizer.weight_decay=0.3")["optimizer"]
    groups = ConfiguredOptimizer(node)(Small()).param_groups
    decay = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in groups}
    assert set(decay[0.3]) == {2}
    assert set(decay[0.0]) == {1}
    everything = ConfiguredOptimizer({**node, "no_decay": False})(Small()).param_groups
    assert [group["weight_decay"] for group in everything] == [0.3]


def test_layer_decay_scales_the_rate_of_a_library_optimizer(composed: Composed) -> None:
    node = composed("optimizer=rmsprop", "optimizer.layer_decay=0.5")["optimizer"]
    rates = {group["lr"] for group in ConfiguredOptimizer(node)(Small()).param_groups}
    assert rates == {node["lr"] * 0.5**i for i in range(4)}
    fixed = {**node, "lr": None}
    with pytest.raises(UserError, match=r"layer_decay scales optimizer\.lr"):
        ConfiguredOptimizer(fixed)(Small())


def test_an_optimizer_called_with_parameters_works_like_a_partial(composed: Composed) -> None:
    for name in ("adamw", "rmsprop"):
        make = ConfiguredOptimizer(composed(f"optimizer={name}")["optimizer"])
        optimizer = make(Small().parameters())
        assert len(optimizer.param_groups) == 1
        schedule = ConfiguredSchedule(
            {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 2}
        )
        assert isinstance(schedule(optimizer), torch.optim.lr_scheduler.StepLR)


def test_errors_of_a_library_are_user_errors(composed: Composed) -> None:
    node = composed("optimizer=rmsprop", "optimizer.lr=-1")["optimizer"]
    with pytest.raises(
        UserError, match=r"torch\.optim\.RMSprop does not accept this: Invalid lear"
    ):
        ConfiguredOptimizer(node)(Small())


def test_one_cycle_steps_with_each_step(composed: Composed, tmp_path: Path) -> None:
    run = executed(composed, tmp_path, "scheduler=one_cycle", "trainer.max_epochs=2")
    rates = [float(r["lr"]) for r in read_metrics(run.metrics_file) if r.get("lr")]
    assert len(rates) == 12
    assert len(set(rates)) > 8
    assert max(rates) == pytest.approx(2e-3, rel=0.1)


def test_other_schedules_step_with_each_epoch(composed: Composed, tmp_path: Path) -> None:
    words = ["scheduler._target_=torch.optim.lr_scheduler.ExponentialLR", "+scheduler.gamma=0.5"]
    words += ["~scheduler.warmup", "~scheduler.min_lr_ratio", "trainer.max_epochs=3"]
    run = executed(composed, tmp_path, *words)
    rows = [r for r in read_metrics(run.metrics_file) if r.get("lr")]
    first = {r["epoch"]: float(r["lr"]) for r in reversed(rows)}
    assert [first[str(i)] for i in range(3)] == pytest.approx([2e-3, 1e-3, 5e-4])


def test_a_plateau_lowers_the_rate_by_its_monitor(composed: Composed, tmp_path: Path) -> None:
    words = ["scheduler=plateau", "scheduler.patience=0", "scheduler.mode=min"]
    run = executed(composed, tmp_path, *words, "trainer.max_epochs=4")  # accuracy grows
    rates = {float(r["lr"]) for r in read_metrics(run.metrics_file) if r.get("lr")}
    assert len(rates) > 1
    node = {k: v for k, v in run.config["scheduler"].items() if k != "monitor"}
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 1.0)
    with pytest.raises(UserError, match=r"scheduler\.monitor must be given"):
        ConfiguredSchedule(node)(optimizer, 10, 5)


def test_a_callback_of_lightning_logs_to_the_runs_loggers(
    composed: Composed, tmp_path: Path
) -> None:
    words = ["+callbacks.lr._target_=lightning.pytorch.callbacks.LearningRateMonitor"]
    run = executed(composed, tmp_path, *words, "trainer.max_steps=3")
    assert any("lr-" in column for column in read_metrics(run.metrics_file)[-1])


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["trainer.gradient_clip_algorithm=value"], "gradient_clip_algorithm", "value"),
        (["trainer.num_sanity_val_steps=2"], "num_sanity_val_steps", 2),
        (["trainer.max_time='00:00:01:00'"], "max_epochs", 40),
        (["trainer.reload_dataloaders_every_n_epochs=2"], "_", None),
        (["trainer.limit_predict_batches=3"], "limit_predict_batches", 3),
        (["trainer.min_epochs=2"], "min_epochs", 2),
        (["trainer.precision=64-true"], "precision", "64-true"),
        (["trainer.benchmark=true"], "_", None),
        (["trainer.inference_mode=false"], "_", None),
        (["trainer.profiler={_target_: lightning.pytorch.profilers.SimpleProfiler}"], "_", None),
    ],
)
def test_trainer_arguments_reach_lightning(
    composed: Composed, tmp_path: Path, words: list[str], name: str, value: Any
) -> None:
    trainer, _ = assembled(composed, tmp_path, *words)
    if value is not None:
        assert getattr(trainer, name) == value


@pytest.mark.parametrize(
    "key", ["overfit_batches=2", "num_sanity_val_steps=2", "precision=64-true"]
)
def test_a_run_with_such_an_argument_finishes(composed: Composed, tmp_path: Path, key: str) -> None:
    run = executed(composed, tmp_path, f"trainer.{key}", "trainer.max_steps=3")
    assert run.summary["steps"] == 3
    vals = [r for r in read_metrics(run.metrics_file) if r.get("val/loss")]
    assert all(int(row["step"]) > 0 for row in vals)


def test_fast_dev_run_trains_validates_and_tests(composed: Composed, tmp_path: Path) -> None:
    run = executed(composed, tmp_path, "trainer.fast_dev_run=2")
    assert run.status == "finished"
    assert run.summary["steps"] == 2
    assert "test/accuracy" in run.summary["metrics"]


def test_a_strategy_may_be_a_node(composed: Composed, tmp_path: Path) -> None:
    node = "{_target_: lightning.pytorch.strategies.SingleDeviceStrategy, device: cpu}"
    trainer, _ = assembled(composed, tmp_path, f"trainer.strategy={node}")
    assert type(trainer.strategy).__name__ == "SingleDeviceStrategy"


def test_unknown_strategies_are_user_errors(composed: Composed, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Lightning's Trainer rejects the trainer\.\* settings"):
        assembled(composed, tmp_path, "trainer.strategy=deepsped")


@pytest.mark.parametrize("name", ["mlflow", "trackio"])
def test_a_missing_logger_package_is_a_user_error(
    composed: Composed, tmp_path: Path, name: str
) -> None:
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed")
    config = composed(*FEW, f"logger={name}", "trainer.max_steps=1")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 2
    assert "pip install" in run.summary["error"]


def test_trackio_logs_config_and_metrics(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []

    class Run:
        def log(self, metrics: dict[str, float], step: int | None = None) -> None:
            heard.append((step, metrics))

        def finish(self) -> None:
            heard.append("finished")

    def init(**given: Any) -> Run:
        heard.append(given)
        return Run()

    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(init=init))
    executed(composed, tmp_path, "logger=trackio", "trainer.max_steps=2")
    begun, *logged, last = heard
    assert (begun["name"], begun["project"]) == ("run", "arclight")
    assert begun["config"]["seed"] == 0
    assert last == "finished"
    assert [step for step, _ in logged] == [1, 2, 2]


def test_a_partial_is_completed_as_any_other_node() -> None:
    optimizer = ConfiguredOptimizer({**ADAM, "_partial_": True})(Small())
    assert isinstance(optimizer, torch.optim.Adam)
    step = {"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True, "step_size": 2}
    made = ConfiguredSchedule(step)(optimizer, 10, 5)
    assert isinstance(made, dict)
    assert isinstance(made["scheduler"], torch.optim.lr_scheduler.StepLR)


def test_a_typed_length_of_a_schedule_is_kept() -> None:
    node = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.1, "total_steps": 77}
    made = ConfiguredSchedule(node)(ConfiguredOptimizer(ADAM)(Small()), 10, 5)
    assert isinstance(made, dict)
    assert made["scheduler"].total_steps == 77


def test_a_schedule_without_its_length_is_a_user_error(composed: Composed) -> None:
    schedule = ConfiguredSchedule(composed("scheduler=cosine")["scheduler"])
    with pytest.raises(UserError, match="cosine needs total_steps and steps_per_epoch: pass them"):
        schedule(optimizer=ConfiguredOptimizer(ADAM)(Small()))


def test_a_loggers_own_name_is_kept(composed: Composed, tmp_path: Path) -> None:
    target = "logger.mine._target_=lightning.pytorch.loggers.CSVLogger"
    words = [f"+{target}", f"+logger.mine.save_dir={tmp_path}", "trainer.max_steps=1"]
    executed(composed, tmp_path, *words, "+logger.mine.name=mine")
    assert (tmp_path / "mine" / "version_0" / "metrics.csv").exists()


def test_missing_devices_are_a_user_error(composed: Composed, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rejects the trainer\.\* settings: `devices` selected"):
        assembled(composed, tmp_path, "trainer.devices=[0]")


def test_nested_schedules_get_the_optimizer(composed: Composed, tmp_path: Path) -> None:
    where = "torch.optim.lr_scheduler."
    config = composed(*FEW, "trainer.max_steps=3", "optimizer.lr=1.0")
    config["scheduler"] = {
        "_target_": f"{where}SequentialLR",
        "schedulers": [
            {"_target_": f"{where}LinearLR", "start_factor": 0.5, "total_iters": 2},
            {"_target_": f"{where}StepLR", "step_size": 1, "gamma": 0.1},
        ],
        "milestones": [2],
        "interval": "step",
    }
    check(config)
    parts = build_parts(config, tmp_path)
    optimizer = ConfiguredOptimizer(config["optimizer"])(parts.task)
    made = ConfiguredSchedule(config["scheduler"])(optimizer, 10, 5)
    assert isinstance(made, dict)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(3):
        optimizer.step()
        made["scheduler"].step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.5, 0.75, 1.0, 0.1])
