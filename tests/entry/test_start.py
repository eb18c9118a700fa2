"""From a command to its run directory: what is kept, and what is rejected."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from arclight.config.entry import EXIT_USER_ERROR
from arclight.entry.start import start
from arclight.run_directory import RunDirectory
from tests.conftest import CONFIGS

Started = Callable[..., int]
METRICS = "step,train/loss\n50,0.5\n"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """Does what `python train.py` does, except for training; returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def go(*overrides: str, executed: Callable[[RunDirectory], Any]) -> int:
        def execute(run: RunDirectory) -> int:
            executed(run)
            return EXIT_USER_ERROR

        monkeypatch.setattr("arclight.entry.start.execute", execute)
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg: DictConfig = compose("train", list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            with open_dict(cfg):
                del cfg["hydra"]
        with pytest.raises(SystemExit) as end:
            start(cfg)
        return int(end.value.code or 0)

    return go


def test_rejected_new_run_leaves_no_folder(started: Started, tmp_path: Path) -> None:
    assert started(executed=lambda run: run.metrics_file.touch()) == EXIT_USER_ERROR
    assert not list((tmp_path / "runs").iterdir())


def test_name_of_a_rejected_run_is_free_again(started: Started, tmp_path: Path) -> None:
    for overrides in (("data.batch_size=64",), ("data.batch_size=32",)):
        assert started("run_dir=mine", *overrides, executed=lambda run: None) == EXIT_USER_ERROR
        assert not (tmp_path / "mine").exists()


def test_run_on_several_nodes_is_kept(started: Started, tmp_path: Path) -> None:
    overrides = ("trainer=ddp_cpu", "trainer.num_nodes=2", "run_dir=mine")
    assert started(*overrides, executed=lambda run: None) == EXIT_USER_ERROR
    assert RunDirectory(tmp_path / "mine").status == "created"


def test_run_that_trained_before_it_failed_is_kept(started: Started, tmp_path: Path) -> None:
    started(executed=lambda run: run.metrics_file.write_text(METRICS))
    (kept,) = (tmp_path / "runs").iterdir()
    assert (kept / "metrics.csv").read_text() == METRICS


def test_run_that_cannot_be_resumed_is_kept(started: Started, tmp_path: Path) -> None:
    """Its data may be on a disk that is not mounted, or a GPU may be missing."""
    started(executed=lambda run: run.metrics_file.write_text(METRICS))
    (kept,) = (tmp_path / "runs").iterdir()
    (kept / "metrics.csv").unlink()  # as if it was killed before it logged metrics
    for overrides in ([f"resume={kept}"], ["resume=auto"]):
        assert started(*overrides, executed=lambda run: None) == EXIT_USER_ERROR
        assert RunDirectory(kept).status == "created"


def test_torchrun_is_rejected_with_what_to_type(
    started: Started,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert started(executed=lambda run: None) == EXIT_USER_ERROR
    assert "type python train.py trainer=ddp" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
