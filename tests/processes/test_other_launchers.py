"""Environment variables of other launchers are ignored."""

from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only

from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.training.loggers import read_metrics
from tests.conftest import Composed

# Set by torchrun, Kubernetes' PyTorchJob or a shell profile; by salloc, or srun of several tasks.
LEFT_OVER = (
    *("RANK=1", "LOCAL_RANK=1", "GROUP_RANK=1", "NODE_RANK=1", "WORLD_SIZE=4"),
    *("MASTER_ADDR=nowhere.invalid", "MASTER_PORT=1"),
    *("SLURM_JOB_ID=7", "SLURM_JOB_NAME=x", "SLURM_NTASKS=4", "SLURM_PROCID=1"),
    *("SLURM_LOCALID=1", "SLURM_NODEID=1", "SLURM_NTASKS_PER_NODE=2"),
)
TINY = ("data.limit=64", "trainer.max_epochs=1", "trainer.log_every_n_steps=1")


@pytest.mark.parametrize("trainer", ["cpu", "fsdp_cpu"])
def test_run_with_one_process_writes_its_records_in_any_shell(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: str
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as if just imported
    for word in LEFT_OVER:
        monkeypatch.setenv(*word.split("="))
    config = composed(*TINY, f"trainer={trainer}", "trainer.devices=1")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    assert run.status == "finished"
    assert run.summary["seconds"] > 0
    assert "test/accuracy" in run.log_file.read_text()
    assert len(read_metrics(run.metrics_file)) > 1
